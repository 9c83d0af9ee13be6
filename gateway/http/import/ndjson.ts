import type { ImportRow } from '../../../engine/admin/index.ts';
import { API_LIMITS } from '../../../protocol/api/index.ts';
import { type Line, readLines } from './lines.ts';
import { rejected, taskRow } from './task-row.ts';

/** One JSON object per line; empty lines are skipped. */
export async function* readNdjson(source: AsyncIterable<Buffer>): AsyncGenerator<readonly ImportRow[]> {
  for await (const lines of readLines(source, API_LIMITS.taskBytesMax)) {
    yield lines.flatMap((line) => rowOf(line));
  }
}

function rowOf(line: Line): ImportRow[] {
  if ('problem' in line) return [rejected(line.line, ...describeLine(line.problem))];
  if (line.text.trim() === '') return [];
  return [parseRow(line.line, line.text, line.bytes)];
}

/** A row that is not JSON is rejected by what the parser says without its quotation of the text. */
export function parseRow(line: number, text: string, bytes: number): ImportRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the row, which may be private.
    return rejected(line, 'malformed', 'This is not JSON.');
  }
  return taskRow(line, value, bytes);
}

export function describeLine(problem: 'too_large' | 'not_utf8'): ['too_large' | 'malformed', string] {
  return problem === 'too_large'
    ? ['too_large', `It is larger than ${API_LIMITS.taskBytesMax} bytes.`]
    : ['malformed', 'This is not UTF-8 text.'];
}
