import type { ImportRow } from '../../../engine/admin/index.ts';
import { API_LIMITS } from '../../../protocol/api/index.ts';
import { CsvRecord } from './csv-record.ts';
import { type Line, readLines } from './lines.ts';
import { describeLine } from './ndjson.ts';
import { rejected, taskRow } from './task-row.ts';

/**
 * Reads a CSV with a header. A broken record costs its first line and nothing else: reading begins anew at the next
 * line. That is why this is not csv-parse, which goes on from where it noticed: one quote that is never closed
 * then swallows good records up to the next quote, or to the end, and they are lost without a word.
 */
export async function* readCsv(
  source: AsyncIterable<Buffer>,
  delimiter: string,
): AsyncGenerator<readonly ImportRow[]> {
  const reader = new CsvReader(delimiter);
  for await (const lines of readLines(source, API_LIMITS.taskBytesMax)) {
    for (const line of lines) reader.take(line);
    const rows = reader.drain();
    if (rows.length > 0) yield rows;
    if (reader.isBroken) return;
  }
  reader.end();
  const rows = reader.drain();
  if (rows.length > 0) yield rows;
}

interface TextLine {
  readonly line: number;
  readonly text: string;
  readonly bytes: number;
}

class CsvReader {
  isBroken = false;
  private rows: ImportRow[] = [];
  private columns: readonly string[] | undefined;
  private readonly delimiter: string;
  /** The lines of the record that is being read; none between records. */
  private lines: TextLine[] = [];
  private bytes = 0;
  private record: CsvRecord;

  constructor(delimiter: string) {
    this.delimiter = delimiter;
    this.record = new CsvRecord(delimiter);
  }

  drain(): readonly ImportRow[] {
    const rows = this.rows;
    this.rows = [];
    return rows;
  }

  take(line: Line): void {
    const waiting: Line[] = [line];
    for (let next = waiting.pop(); next !== undefined && !this.isBroken; next = waiting.pop()) {
      this.step(next, waiting);
    }
  }

  end(): void {
    while (this.lines.length > 0 && !this.isBroken) {
      const again: Line[] = [];
      this.giveUp('a quote is never closed', again);
      for (let next = again.pop(); next !== undefined && !this.isBroken; next = again.pop())
        this.step(next, again);
    }
    if (this.columns === undefined && !this.isBroken)
      this.break(1, 'The file is empty: it must have a header.');
  }

  /** @param again receives the lines that are to be read anew, the next one last. */
  private step(line: Line, again: Line[]): void {
    if ('problem' in line) this.skip(line, again);
    else if (this.lines.length > 0 || line.text.trim() !== '') this.feed(line, again);
  }

  /** A line that cannot be kept ends the record that was open. */
  private skip(line: Extract<Line, { problem: unknown }>, again: Line[]): void {
    const [code, message] = describeLine(line.problem);
    if (this.lines.length > 0) {
      again.push(line);
      this.giveUp('a quote is never closed', again);
    } else if (this.columns === undefined) this.break(line.line, `The header cannot be read: ${message}`);
    else this.rows.push(rejected(line.line, code, message));
  }

  private feed(line: TextLine, again: Line[]): void {
    this.lines.push(line);
    this.bytes += line.bytes + 1;
    const outcome = this.record.feed(line.text);
    if (typeof outcome === 'object') this.giveUp(outcome.error, again);
    else if (outcome === 'complete') this.finish(again);
    else if (this.bytes > API_LIMITS.taskBytesMax) {
      this.giveUp(`a quote is not closed within ${API_LIMITS.taskBytesMax} bytes`, again);
    }
  }

  private finish(again: Line[]): void {
    const { fields } = this.record;
    const { columns } = this;
    if (columns === undefined) this.readHeader(fields);
    else if (fields.length !== columns.length) {
      this.giveUp(`it has ${fields.length} columns, the header has ${columns.length}`, again);
    } else {
      const value = Object.fromEntries(fields.map((field, at) => [columns[at] ?? '', field]));
      // In CSV a column named `data` is one column of many: the row is always the data itself.
      this.rows.push(taskRow(this.lines[0]?.line ?? 0, value, this.bytes, 'flat'));
      this.nextRecord();
    }
  }

  private readHeader(fields: readonly string[]): void {
    const columns = fields.map((field, at) => (field.trim() === '' ? `column${at + 1}` : field.trim()));
    const problem = headerProblem(columns);
    if (problem !== undefined) this.break(this.lines[0]?.line ?? 1, problem);
    this.columns = columns;
    this.nextRecord();
  }

  private giveUp(why: string, again: Line[]): void {
    const [first, ...others] = this.lines;
    if (first === undefined) return;
    if (this.columns === undefined) this.break(first.line, `The header cannot be read: ${why}.`);
    else this.rows.push(rejected(first.line, 'malformed', `This record cannot be read: ${why}.`));
    // Each line is read twice at most: what follows an open quote holds quotes in pairs, so none of it opens another.
    for (const line of others.reverse()) again.push(line);
    this.nextRecord();
  }

  private break(line: number, message: string): void {
    this.isBroken = true;
    this.rows.push({ kind: 'broken', line, message });
  }

  private nextRecord(): void {
    this.lines = [];
    this.bytes = 0;
    this.record = new CsvRecord(this.delimiter);
  }
}

function headerProblem(columns: readonly string[]): string | undefined {
  if (new Set(columns).size < columns.length) return 'The header names a column twice.';
  if (columns.includes('__proto__')) return 'The header names a column __proto__.';
  return columns.length > API_LIMITS.csvColumnsMax
    ? `The header has more than ${API_LIMITS.csvColumnsMax} columns.`
    : undefined;
}
