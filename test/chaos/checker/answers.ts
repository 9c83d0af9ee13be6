import { isDeepStrictEqual } from 'node:util';
import { ASSIGNMENT_STATE_CODES as ASSIGNMENT, knownNameOf } from '../../../engine/store/codes.ts';
import type { Operation } from '../history.ts';
import { assignmentNumber, type Evidence, groupBy, type Violation } from './evidence.ts';

/** What a client may be refused with at any time without anything being wrong. */
const EXPECTED_REFUSALS: ReadonlySet<string> = new Set([
  'busy',
  'unavailable',
  'shutting_down',
  'lease_ended',
  'already_submitted',
  'at_capacity',
  'too_many_connections',
]);

/** The same of imports; without an answer nobody knows. */
const EXPECTED_OF_IMPORTS: ReadonlySet<string> = new Set([
  'busy',
  'unavailable',
  'shutting_down',
  'no_answer',
  'no_gateway',
]);

/** I3, I4: what was acknowledged is there and is what was sent, once; and nothing is there that nobody sent. */
export function checkAnswers(evidence: Evidence): Violation[] {
  return [
    ...acknowledgedSubmits(evidence),
    ...unexpectedAnnotations(evidence),
    ...givenBack(evidence),
    ...grants(evidence),
    ...imports(evidence),
    ...refusals(evidence),
  ];
}

function submitsOf({ histories }: Evidence): Operation[] {
  return histories.operations.filter((op) => op.event === 'work:submit');
}

function acknowledgedSubmits(evidence: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const annotationOf = new Map(evidence.rows.annotations.map((row) => [row.assignment_id, row]));
  const receipts = new Map<string, string>();
  for (const op of submitsOf(evidence)) {
    const { receipt } = op;
    if (!receipt) continue;
    const who = `submit ${op.submissionId} of ${op.assignmentId} by annotator ${op.annotator}`;
    const row = annotationOf.get(assignmentNumber(receipt.assignmentId));
    if (!row || row.submission_id !== receipt.submissionId) {
      wrong.push({ kind: 'lost', what: `${who} was acknowledged; in the database is ${row?.submission_id}` });
      continue;
    }
    if (receipt.submissionId !== op.submissionId || receipt.assignmentId !== op.assignmentId)
      wrong.push({ kind: 'differs', what: `${who} got the receipt of ${receipt.submissionId}` });
    if (!isDeepStrictEqual(row.result, op.payload))
      wrong.push({ kind: 'differs', what: `${who} sent another result than the one that is kept` });
    if (row.counted !== (receipt.status === 'counted'))
      wrong.push({ kind: 'differs', what: `${who} was told ${receipt.status}; counted is ${row.counted}` });
    const text = JSON.stringify(receipt);
    const before = receipts.get(receipt.assignmentId);
    if (before !== undefined && before !== text)
      wrong.push({ kind: 'differs', what: `${who} got the receipts ${before} and ${text}` });
    receipts.set(receipt.assignmentId, text);
  }
  return wrong;
}

function unexpectedAnnotations(evidence: Evidence): Violation[] {
  const sent = groupBy(submitsOf(evidence), (op) => `${op.assignmentId} ${op.submissionId}`);
  return evidence.rows.annotations.flatMap((row): Violation[] => {
    const attempts = sent.get(`${row.project_id}-${row.assignment_id} ${row.submission_id}`) ?? [];
    const cause = attempts.find(
      (op) => op.annotator === row.annotator_id && isDeepStrictEqual(op.payload, row.result),
    );
    const what = `the annotation ${row.submission_id} of ${row.project_id}-${row.assignment_id} was submitted by nobody`;
    return cause ? [] : [{ kind: 'unexpected', what }];
  });
}

/** An acknowledged skip or release is how the lease has ended. */
function givenBack({ histories, rows }: Evidence): Violation[] {
  const stateOf = new Map(rows.assignments.map((row) => [row.id, row.state]));
  const wanted: Readonly<Record<string, number>> = {
    'work:skip': ASSIGNMENT.skipped,
    'work:release': ASSIGNMENT.released,
  };
  return histories.operations.flatMap((op): Violation[] => {
    const state = wanted[op.event];
    if (op.outcome !== 'ok' || state === undefined || op.assignmentId === undefined) return [];
    const is = stateOf.get(assignmentNumber(op.assignmentId));
    if (is === state) return [];
    const name = is === undefined ? 'gone' : knownNameOf(ASSIGNMENT, is);
    return [{ kind: 'lost', what: `${op.event} of ${op.assignmentId} was acknowledged, and it is ${name}` }];
  });
}

/** A lease that anybody was told of is there, and theirs. */
function grants({ histories, rows }: Evidence): Violation[] {
  const byId = new Map(rows.assignments.map((row) => [row.id, row]));
  const wrong = new Map<string, Violation>();
  for (const { annotator, leases = [] } of [...histories.operations, ...histories.pushes]) {
    for (const lease of leases) {
      const row = byId.get(assignmentNumber(lease.id));
      if (row?.annotator_id === annotator && row.task_id === Number(lease.taskId)) continue;
      const what = `annotator ${annotator} was given ${lease.id} of task ${lease.taskId}; in the database it is ${row ? `of annotator ${row.annotator_id}, task ${row.task_id}` : 'not'}`;
      wrong.set(lease.id, { kind: 'lost', what });
    }
  }
  return [...wrong.values()];
}

/** Every task of an acknowledged import is there once, and none that nobody imported. */
function imports({ histories, rows }: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const slugOf = new Map(rows.projects.map((row) => [row.id, row.slug]));
  const there = groupBy(rows.tasks, (row) => `${slugOf.get(row.project_id)} ${row.external_id}`);
  const sent = new Set<string>();
  for (const { project, externalIds, outcome } of histories.imports) {
    for (const externalId of externalIds) {
      const key = `${project} ${externalId}`;
      if (outcome === 'ok' && !sent.has(`ok ${key}`) && !there.has(key))
        wrong.push({ kind: 'lost', what: `the import of task ${externalId} was acknowledged` });
      if (outcome === 'ok') sent.add(`ok ${key}`);
      sent.add(key);
    }
  }
  for (const [key, tasks] of there) {
    if (tasks.length > 1)
      wrong.push({ kind: 'double_work', what: `task ${key} is there ${tasks.length} times` });
    if (!sent.has(key)) wrong.push({ kind: 'unexpected', what: `task ${key} was imported by nobody` });
  }
  return wrong;
}

function refusals({ histories }: Evidence): Violation[] {
  const wrong = histories.operations
    .filter((op) => op.outcome === 'refused' && !EXPECTED_REFUSALS.has(op.code ?? ''))
    .map(
      (op): Violation => ({
        kind: 'unexpected_answer',
        what: `${op.event} of annotator ${op.annotator} (${op.assignmentId ?? op.requestId}) was refused: ${op.code}`,
      }),
    );
  const ofImports = histories.imports
    .filter(({ code }) => code !== undefined && !EXPECTED_OF_IMPORTS.has(code))
    .map(
      ({ project, code }): Violation => ({
        kind: 'unexpected_answer',
        what: `an import into ${project} was refused: ${code}`,
      }),
    );
  return [...wrong, ...ofImports];
}
