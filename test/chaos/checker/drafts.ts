import { isDeepStrictEqual } from 'node:util';
import type { Operation } from '../history.ts';
import { assignmentNumber, type Evidence, groupBy, type Violation } from './evidence.ts';

/** I10. A draft that was acknowledged is there until its author submits, is not older than that, and comes back to them. */
export function checkDrafts(evidence: Evidence): Violation[] {
  const { histories, rows, lives } = evidence;
  const taskOf = (op: Operation): number | undefined =>
    op.assignmentId === undefined ? undefined : lives.get(assignmentNumber(op.assignmentId))?.taskId;
  const keyOf = (op: Operation) => `${taskOf(op)} ${op.annotator}`;
  const saved = histories.operations.filter((op) => op.event === 'work:draft' && op.outcome === 'ok');
  // A late answer that is refused is kept as the draft, so submits are drafts, too.
  const sent = groupBy(
    histories.operations.filter((op) => op.event === 'work:draft' || op.event === 'work:submit'),
    keyOf,
  );
  const rowOf = new Map(rows.drafts.map((row) => [`${row.task_id} ${row.annotator_id}`, row]));
  const answered = new Set(rows.annotations.map((row) => `${row.task_id} ${row.annotator_id}`));
  const wrong: Violation[] = [];
  for (const [key, drafts] of groupBy(saved, keyOf)) {
    const last = drafts.reduce((a, b) => (b.startMs > a.startMs ? b : a));
    if (answered.has(key)) continue;
    const row = rowOf.get(key);
    const [taskId, annotator] = key.split(' ');
    const who = `the draft of annotator ${annotator} for task ${taskId}`;
    if (!row) {
      wrong.push({ kind: 'lost_draft', what: `${who} was acknowledged and is gone` });
      continue;
    }
    const mayBeLater = (op: Operation) => op === last || op.outcome === 'unknown' || op.endMs > last.startMs;
    const cause = (sent.get(key) ?? []).find(
      (op) => mayBeLater(op) && isDeepStrictEqual(op.payload, row.draft),
    );
    if (!cause) wrong.push({ kind: 'lost_draft', what: `${who} is an older one than was acknowledged` });
  }
  return [...wrong, ...notRestored(evidence, groupBy(saved, keyOf), answered)];
}

/** Who gets a task again gets their draft with it. */
function notRestored(
  { histories }: Evidence,
  saved: ReadonlyMap<string, readonly Operation[]>,
  answered: ReadonlySet<string>,
): Violation[] {
  return histories.operations.flatMap((op): Violation[] =>
    (op.leases ?? []).flatMap((lease): Violation[] => {
      const key = `${lease.taskId} ${op.annotator}`;
      // Whose answer was taken has no draft any more.
      if (lease.draft !== undefined || answered.has(key)) return [];
      const earlier = saved
        .get(key)
        ?.find((draft) => draft.endMs < op.startMs && draft.assignmentId !== lease.id);
      if (!earlier) return [];
      const what = `annotator ${op.annotator} got task ${lease.taskId} again without the draft of ${earlier.assignmentId}`;
      return [{ kind: 'lost_draft', what }];
    }),
  );
}
