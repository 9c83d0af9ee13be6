import { isUtf8 } from 'node:buffer';
import type { ImportRow } from '../../../engine/admin/index.ts';
import { API_LIMITS } from '../../../protocol/api/index.ts';
import { describeLine, parseRow } from './ndjson.ts';
import { rejected } from './task-row.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Reads a JSON array an element at a time, so that an array of any size takes the memory of one element. Elements
 * are cut at the commas that lie outside of strings and brackets and parsed one by one: an element that is not
 * JSON is rejected and the next one is read, as with lines. `line` is the number of the element, from 1.
 */
export async function* readJsonArray(source: AsyncIterable<Buffer>): AsyncGenerator<readonly ImportRow[]> {
  const scanner = new ArrayScanner();
  for await (const chunk of source) {
    const rows = scanner.scan(chunk);
    if (rows.length > 0) yield rows;
    if (scanner.isBroken) return;
  }
  const rest = scanner.end();
  if (rest.length > 0) yield rest;
}

class ArrayScanner {
  isBroken = false;
  private place: 'before' | 'inside' | 'after' = 'before';
  private depth = 0;
  private isInString = false;
  private isEscaped = false;
  private element = 0;
  private parts: Buffer[] = [];
  private bytes = 0;

  scan(chunk: Buffer): ImportRow[] {
    const rows: ImportRow[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length && !this.isBroken; at++) {
      const byte = chunk[at] ?? 0;
      if (this.place === 'inside') {
        if (!this.isBoundary(byte)) continue;
        this.keep(chunk.subarray(from, at));
        this.finish(rows, byte === CLOSE_ARRAY);
        from = at + 1;
        if (byte === CLOSE_ARRAY) this.place = 'after';
      } else if (this.place === 'before' && byte === OPEN_ARRAY) {
        this.place = 'inside';
        from = at + 1;
      } else if (!isSpace(byte) && !(this.place === 'before' && isMark(byte))) {
        rows.push(
          this.break(this.place === 'before' ? 'The body must be an array.' : 'Something follows the array.'),
        );
      }
    }
    if (this.place === 'inside') this.keep(chunk.subarray(from));
    return rows;
  }

  end(): ImportRow[] {
    if (this.place === 'after') return [];
    return [this.break(this.place === 'before' ? 'The body is empty.' : 'The array is not closed.')];
  }

  /** Moves on by a byte of an element. @returns whether the byte ends the element instead. */
  private isBoundary(byte: number): boolean {
    if (this.isInString) {
      if (this.isEscaped) this.isEscaped = false;
      else if (byte === BACKSLASH) this.isEscaped = true;
      else if (byte === QUOTE) this.isInString = false;
      return false;
    }
    if (byte === QUOTE) this.isInString = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (this.depth === 0) return byte === CLOSE_ARRAY;
      this.depth--;
    } else return byte === COMMA && this.depth === 0;
    return false;
  }

  private keep(part: Buffer): void {
    this.bytes += part.length;
    if (this.bytes > API_LIMITS.taskBytesMax) this.parts = [];
    else if (part.length > 0) this.parts.push(part);
  }

  private finish(rows: ImportRow[], isLast: boolean): void {
    const bytes = this.bytes;
    const whole = Buffer.concat(this.parts);
    this.parts = [];
    this.bytes = 0;
    const isTooLarge = bytes > API_LIMITS.taskBytesMax;
    const text = whole.toString('utf8');
    // An empty array, which is the only place where nothing at all may stand before the closing bracket.
    if (isLast && this.element === 0 && !isTooLarge && text.trim() === '') return;
    this.element++;
    if (isTooLarge) rows.push(rejected(this.element, ...describeLine('too_large')));
    else if (!isUtf8(whole)) rows.push(rejected(this.element, ...describeLine('not_utf8')));
    else rows.push(parseRow(this.element, text, bytes));
  }

  private break(message: string): ImportRow {
    this.isBroken = true;
    return { kind: 'broken', line: this.element + 1, message };
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The bytes of a byte order mark. */
function isMark(byte: number): boolean {
  return byte === 0xef || byte === 0xbb || byte === 0xbf;
}
