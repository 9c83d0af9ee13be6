import type { ImportRow } from '../../../engine/admin/index.ts';
import { API_LIMITS, taskInput } from '../../../protocol/api/index.ts';
import { inspectJson, isPlainObject, type JsonValue } from '../../../protocol/wire/index.ts';

export function rejected(line: number, code: 'malformed' | 'too_large', message: string): ImportRow {
  return { kind: 'rejected', line, code, message };
}

/**
 * Makes a task of one row of a source. A row with a `data` key is a task as the API describes it. Any other object
 * is the data itself, and these of its keys say how to treat it: `externalId` (or `external_id`, or `id`),
 * `priority` and `overlap`. They are left out of the data, except `id`, which means something to its owner too.
 */
export function taskRow(
  line: number,
  value: unknown,
  bytes: number,
  form: 'either' | 'flat' = 'either',
): ImportRow {
  if (!isPlainObject(value)) return rejected(line, 'malformed', 'A task must be an object.');
  const task = form === 'either' && Object.hasOwn(value, 'data') ? wholeTask(value) : flatTask(value);
  const reading = taskInput.safeParse(task);
  if (!reading.success) {
    const issue = reading.error.issues[0];
    const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    return rejected(line, 'malformed', `${where}${issue?.message ?? 'not a task'}`);
  }
  const { data, ...rest } = reading.data;
  const inspection = inspectJson(data, API_LIMITS.taskBytesMax, API_LIMITS.jsonDepthMax);
  if (!inspection.ok) return rejected(line, inspection.problem.code, `data: ${inspection.problem.message}`);
  return isInspected(data)
    ? { kind: 'task', line, bytes, task: { ...rest, data } }
    : rejected(line, 'malformed', 'data: missing');
}

/** `inspectJson` has walked it; this only tells the compiler so. */
function isInspected(data: unknown): data is JsonValue {
  return data !== undefined;
}

function wholeTask(row: Record<string, unknown>): Record<string, unknown> {
  const { id, external_id: snakeCase, externalId: own, ...rest } = row;
  return { ...rest, externalId: externalIdOf(own ?? snakeCase ?? id) };
}

function flatTask(row: Record<string, unknown>): Record<string, unknown> {
  const { externalId: own, external_id: snakeCase, priority, overlap, ...data } = row;
  const externalId = externalIdOf(own ?? snakeCase ?? (isScalar(row.id) ? row.id : undefined));
  return { data, externalId, priority: numberOf(priority), overlap: numberOf(overlap) };
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number';
}

/** Numbers are welcome as external ids; an empty cell of a CSV is none. */
function externalIdOf(value: unknown): unknown {
  if (value === '' || value === null) return undefined;
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
}

/** CSV knows only text. */
function numberOf(value: unknown): unknown {
  if (value === '' || value === null) return undefined;
  return typeof value === 'string' && /^\s*-?\d{1,6}\s*$/.test(value) ? Number(value) : value;
}
