import type { Page } from '../../engine/admin/index.ts';
import { type AssignmentId, type AssignmentRef, asId, type ProjectId } from '../../engine/ids.ts';
import type { Result } from '../../engine/refusals.ts';
import { granted, ProblemError } from './problem.ts';

/** Which list a cursor belongs to: its first letter. */
export type ListName = 'projects' | 'annotators' | 'members' | 'tasks' | 'tokens' | 'audit';

const LETTERS: Readonly<Record<ListName, string>> = {
  projects: 'p',
  annotators: 'a',
  members: 'm',
  tasks: 't',
  tokens: 'k',
  audit: 'l',
};
const ASSIGNMENTS_LETTER = 's';

/**
 * Reads the page that a query asks for. A full page has a next one, unless it happens to be the last: then that one
 * is empty.
 *
 * @throws ProblemError for a cursor of another list, and for a refusal.
 */
export async function answerPage<Row extends { readonly id: number }, Wire>(
  list: ListName,
  query: { readonly cursor?: string | undefined; readonly limit: number },
  read: (page: Page) => Promise<Result<readonly Row[]>>,
  toWire: (row: Row) => Wire,
): Promise<{ items: Wire[]; next: string | null }> {
  const [after = 0] = query.cursor === undefined ? [] : numbersOf(query.cursor, LETTERS[list], 1);
  const rows = granted(await read({ after, limit: query.limit }));
  const last = rows.length < query.limit ? undefined : rows.at(-1);
  return {
    items: rows.map((row) => toWire(row)),
    next: last === undefined ? null : `${LETTERS[list]}${last.id}`,
  };
}

/** @throws ProblemError for a cursor of another list. */
export function assignmentBefore(cursor: string | undefined): AssignmentRef | undefined {
  if (cursor === undefined) return undefined;
  const [projectId = 0, id = 0] = numbersOf(cursor, ASSIGNMENTS_LETTER, 2);
  return { projectId: asId<ProjectId>(projectId), id: asId<AssignmentId>(id) };
}

export function assignmentCursor(ref: AssignmentRef): string {
  return `${ASSIGNMENTS_LETTER}${ref.projectId}.${ref.id}`;
}

function numbersOf(cursor: string, letter: string, count: number): number[] {
  const numbers = cursor.slice(1).split('.').map(Number);
  const isOurs = cursor.startsWith(letter) && numbers.length === count;
  if (isOurs && numbers.every((number) => Number.isSafeInteger(number) && number > 0)) return numbers;
  throw new ProblemError('malformed', 'The cursor is of another list.', {
    errors: [{ path: 'query.cursor', message: 'must be a cursor of this list' }],
  });
}
