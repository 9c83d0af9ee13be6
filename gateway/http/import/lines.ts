import { isUtf8 } from 'node:buffer';

/** One line of a text, without its line feed; a carriage return before that is kept. Lines count from 1. */
export type Line =
  | { readonly line: number; readonly text: string; readonly bytes: number }
  | { readonly line: number; readonly problem: 'too_large' | 'not_utf8' };

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = 0xfeff;

/**
 * Splits a stream of bytes into lines, those of one piece at a time. A line beyond `lineBytesMax` is skipped
 * without being kept: memory stays bounded whatever comes in.
 */
export async function* readLines(
  source: AsyncIterable<Buffer>,
  lineBytesMax: number,
): AsyncGenerator<readonly Line[]> {
  let number = 0;
  let parts: Buffer[] = [];
  let bytes = 0;
  const finishLine = (): Line => {
    number++;
    const whole = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    const line =
      bytes > lineBytesMax ? { line: number, problem: 'too_large' as const } : textLine(number, whole);
    parts = [];
    bytes = 0;
    return line;
  };
  const add = (part: Buffer): void => {
    bytes += part.length;
    if (bytes > lineBytesMax) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  for await (const chunk of source) {
    const lines: Line[] = [];
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      add(chunk.subarray(from, end));
      lines.push(finishLine());
      from = end + 1;
    }
    add(chunk.subarray(from));
    if (lines.length > 0) yield lines;
  }
  if (bytes > 0) yield [finishLine()];
}

function textLine(line: number, whole: Buffer): Line {
  if (!isUtf8(whole)) return { line, problem: 'not_utf8' };
  const text = whole.toString('utf8');
  const isMarked = line === 1 && text.charCodeAt(0) === BYTE_ORDER_MARK;
  return { line, text: isMarked ? text.slice(1) : text, bytes: whole.length };
}
