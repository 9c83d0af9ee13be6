import {
  ASSIGNMENT_STATE_CODES as ASSIGNMENT,
  TRANSITION_CODES as TRANSITION,
} from '../../../engine/store/codes.ts';
import type { Operation } from '../history.ts';
import {
  assignmentNumber,
  type Evidence,
  groupBy,
  inOrder,
  type Life,
  SKEW_MS,
  type Violation,
} from './evidence.ts';
import type { TimedTransition } from './rows.ts';

/** I1, I2, I4, I6, I8, at every moment of the history and not only at its end. */
export function checkLeases(evidence: Evidence): Violation[] {
  return [
    ...capacityOverTime(evidence),
    ...overlapOverTime(evidence),
    ...requestsToTwoLeases(evidence),
    ...earlyExpiries(evidence),
    ...staleHolders(evidence),
  ];
}

/**
 * Open leases of each annotator, in the order of commits: a place that is taken again is taken by a transaction that waited
 * for the one that freed it, so no two commits need to be told apart more finely than that.
 */
function capacityOverTime({ rows, lives }: Evidence): Violation[] {
  const wrong: Violation[] = [];
  for (const [annotatorId, leases] of groupBy(lives.values(), (life) => life.annotatorId)) {
    const capacity = rows.capacities.get(annotatorId) ?? 0;
    const changes = leases.flatMap(({ granted, end }) => changesOf(granted, end));
    // Where Postgres has not kept when commits were done, this cannot be told.
    if (changes.some((change) => change.atMs === null)) continue;
    changes.sort((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0) || a.by - b.by);
    let open = 0;
    let most = 0;
    for (const { by } of changes) {
      open += by;
      most = Math.max(most, open);
    }
    if (most > capacity)
      wrong.push({
        kind: 'over_capacity',
        what: `annotator ${annotatorId} held ${most} of ${capacity} leases`,
      });
  }
  return wrong;
}

function changesOf(granted: TimedTransition, end: TimedTransition | undefined) {
  const changes: { atMs: number | null; by: number }[] = [{ atMs: granted.committed_ms, by: 1 }];
  if (end) changes.push({ atMs: end.committed_ms, by: -1 });
  return changes;
}

/** Counted assignments of each task, in the order of commits. */
function overlapOverTime({ rows }: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const stepsOf = groupBy(inOrder(rows.transitions), (step) => step.task_id);
  for (const task of rows.tasks) {
    const counted = new Map<number, number | null>();
    let most = 0;
    for (const step of stepsOf.get(task.id) ?? []) {
      if (step.assignment_id === null || step.assignment_state === null) continue;
      if (step.assignment_state > ASSIGNMENT.accepted) {
        counted.delete(step.assignment_id);
        continue;
      }
      const isTwice = [...counted].some(
        ([id, annotator]) => id !== step.assignment_id && annotator === step.annotator_id,
      );
      if (isTwice)
        wrong.push({
          kind: 'double_work',
          what: `annotator ${step.annotator_id} held task ${task.id} twice at once`,
        });
      counted.set(step.assignment_id, step.annotator_id);
      most = Math.max(most, counted.size);
    }
    if (most > task.overlap)
      wrong.push({
        kind: 'over_overlap',
        what: `task ${task.id} had ${most} of ${task.overlap} assignments`,
      });
  }
  const answered = rows.annotations.map((row) => `task ${row.task_id} by annotator ${row.annotator_id}`);
  for (const [who, rowsOf] of groupBy(answered, (text) => text))
    if (rowsOf.length > 1)
      wrong.push({ kind: 'double_work', what: `${who} was answered ${rowsOf.length} times` });
  return wrong;
}

/** A request id leads to one open lease: two of them are not open at the same time. */
function requestsToTwoLeases(evidence: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const asked = evidence.rows.assignments.filter((row) => row.request_id !== null);
  for (const [request, rows] of groupBy(
    asked,
    (row) => `${row.request_id} of annotator ${row.annotator_id}`,
  )) {
    if (rows.length < 2) continue;
    const spans = rows
      .map((row) => evidence.lives.get(row.id))
      .filter((life) => life !== undefined)
      .map((life) => spanOf(evidence, life))
      .sort((a, b) => a.fromMs - b.fromMs);
    const isTwice = spans.some((span, i) => span.fromMs < (spans[i - 1]?.toMs ?? Number.NEGATIVE_INFINITY));
    if (isTwice)
      wrong.push({
        kind: 'double_work',
        what: `request ${request} led to several open leases: ${rows.map((row) => row.id)}`,
      });
  }
  return wrong;
}

function spanOf(evidence: Evidence, life: Life): { fromMs: number; toMs: number } {
  const toMs = life.end ? evidence.seenMs(life.end) : Number.POSITIVE_INFINITY;
  return { fromMs: evidence.seenMs(life.granted), toMs };
}

/**
 * I8. The server answered after the message was sent, so what it promised holds at least until then plus the time it gave. A
 * connection that goes shortens a promise to the grace for coming back; a lease that ended for want of one is held to that.
 */
function earlyExpiries(evidence: Evidence): Violation[] {
  const promises = promisesOf(evidence.histories.operations);
  const graceOf = new Map(
    evidence.rows.projects.map((row) => [row.id, row.settings.reconnectGraceMs ?? Number.POSITIVE_INFINITY]),
  );
  const wrong: Violation[] = [];
  for (const { assignmentId, end } of evidence.lives.values()) {
    if (!end || (end.event !== TRANSITION.expired && end.event !== TRANSITION.abandoned)) continue;
    const isDisconnected = end.detail?.reason === 'disconnected';
    const graceMs = isDisconnected ? (graceOf.get(end.project_id) ?? 0) : Number.POSITIVE_INFINITY;
    const endedMs = evidence.monotonic(end.at_ms);
    let until = Number.NEGATIVE_INFINITY;
    for (const { sentMs, forMs } of promises.get(assignmentId) ?? [])
      until = Math.max(until, sentMs + Math.min(forMs, graceMs));
    if (endedMs + SKEW_MS >= until) continue;
    wrong.push({
      kind: 'early_expiry',
      what: `lease ${end.project_id}-${assignmentId} of annotator ${end.annotator_id} ended at ${Math.round(endedMs)} (${String(end.detail?.reason)}) and was promised until ${Math.round(until)}`,
    });
  }
  return wrong;
}

function promisesOf(operations: readonly Operation[]): Map<number, { sentMs: number; forMs: number }[]> {
  const promises = new Map<number, { sentMs: number; forMs: number }[]>();
  for (const { startMs: sentMs, leases = [], alive = [] } of operations) {
    const given = [
      ...leases.map(({ id, expiresInMs }) => ({ id, expiresInMs })),
      ...alive.map(({ assignmentId: id, expiresInMs }) => ({ id, expiresInMs })),
    ];
    for (const { id, expiresInMs: forMs } of given) {
      const number = assignmentNumber(id);
      promises.set(number, [...(promises.get(number) ?? []), { sentMs, forMs }]);
    }
  }
  return promises;
}

/** I6. Who says something about a lease after its end is told that it has ended, and changes nothing. */
function staleHolders(evidence: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const endedBefore = (id: string, op: Operation): TimedTransition | undefined => {
    const end = evidence.lives.get(assignmentNumber(id))?.end;
    return end && evidence.seenMs(end) + SKEW_MS < op.startMs ? end : undefined;
  };
  const say = (op: Operation, id: string, end: TimedTransition) =>
    wrong.push({
      kind: 'stale_holder',
      what: `${op.event} of ${id} by annotator ${op.annotator} at ${Math.round(op.startMs)} was accepted, and the lease had ended ${Math.round(op.startMs - evidence.seenMs(end))} ms before (${String(end.detail?.reason ?? end.event)})`,
    });
  for (const op of evidence.histories.operations) {
    if (op.outcome !== 'ok') continue;
    for (const { assignmentId } of op.alive ?? []) {
      const end = endedBefore(assignmentId, op);
      if (end) say(op, assignmentId, end);
    }
    if (op.assignmentId === undefined) continue;
    const end = endedBefore(op.assignmentId, op);
    if (!end) continue;
    const isAnswered = end.event === TRANSITION.submitted;
    if (op.event === 'work:draft') say(op, op.assignmentId, end);
    if (op.event === 'work:submit' && op.receipt?.late === false && !isAnswered)
      say(op, op.assignmentId, end);
  }
  return wrong;
}
