import type { ExportedAnnotation } from '../../engine/admin/index.ts';
import { annotationView } from './views.ts';

export type ExportFormat = 'jsonl' | 'json' | 'csv';

export const EXPORT_TYPES: Readonly<Record<ExportFormat, string>> = {
  jsonl: 'application/x-ndjson; charset=utf-8',
  json: 'application/json; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
};

/** Text is handed on in pieces of about this size: one piece per row would cost more than the row. */
const PIECE_LENGTH = 32 * 1024;

const CSV_COLUMNS = [
  'taskId',
  'externalId',
  'annotatorId',
  'annotatorExternalId',
  'assignmentId',
  'submissionId',
  'result',
  'counted',
  'startedAt',
  'submittedAt',
  'leadTimeMs',
];

/** The text of an export, in pieces, as fast as it is read. */
export async function* formatExport(
  rows: AsyncIterable<ExportedAnnotation>,
  format: ExportFormat,
): AsyncGenerator<string> {
  let piece = format === 'json' ? '[' : format === 'csv' ? `${CSV_COLUMNS.join(',')}\r\n` : '';
  let isFirst = true;
  for await (const row of rows) {
    if (format === 'csv') piece += csvRow(row);
    else if (format === 'jsonl') piece += `${JSON.stringify(annotationView(row))}\n`;
    else piece += `${isFirst ? '' : ','}\n${JSON.stringify(annotationView(row))}`;
    isFirst = false;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  yield format === 'json' ? `${piece}\n]\n` : piece;
}

function csvRow(row: ExportedAnnotation): string {
  const view = annotationView(row);
  const cells = [
    String(view.taskId),
    csvText(view.externalId ?? ''),
    String(view.annotator.id),
    csvText(view.annotator.externalId),
    view.assignmentId,
    csvText(view.submissionId),
    csvText(JSON.stringify(view.result)),
    String(view.counted),
    view.startedAt ?? '',
    view.submittedAt,
    String(view.leadTimeMs),
  ];
  return `${cells.join(',')}\r\n`;
}

/**
 * A cell of text that a person chose. Spreadsheets run what begins like a formula, so such text gets an apostrophe
 * in front; a plain number is none.
 */
export function csvText(text: string): string {
  const isFormula = /^[=+\-@\t\r\n]/.test(text) && !/^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(text);
  const safe = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
