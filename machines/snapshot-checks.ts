import type { AssignmentSnapshot, AssignmentState } from './assignment.ts';
import { InvalidSnapshotError } from './snapshot-errors.ts';
import type { HoldCondition, TaskSnapshot, TaskState } from './task.ts';

/**
 * Which filled counts each state allows, and whether leases may be open in it (M1). `waiting` with its overlap met
 * would be stranded: nothing could lease it and nothing would complete it.
 */
const TASK_RULES = {
  waiting: { mayBeOpen: true, needsAnswer: false },
  held: { mayBeOpen: true, needsAnswer: false },
  complete: { mayBeOpen: false, needsAnswer: true },
  adjudicating: { mayBeOpen: false, needsAnswer: true },
  reviewing: { mayBeOpen: false, needsAnswer: true },
  cancelled: { mayBeOpen: false, needsAnswer: false },
} as const satisfies Record<TaskState, { mayBeOpen: boolean; needsAnswer: boolean }>;

const CONDITIONS: Readonly<Record<HoldCondition, true>> = {
  attempts_used_up: true,
  supervisor: true,
  quarantined: true,
};

const ASSIGNMENT_STATES: Readonly<Record<AssignmentState, true>> = {
  offered: true,
  active: true,
  submitted: true,
  accepted: true,
  rejected: true,
  expired: true,
  abandoned: true,
  skipped: true,
  released: true,
  revoked: true,
  surplus: true,
};

/** @throws InvalidSnapshotError naming the first invariant that does not hold. Says nothing of the task but counts. */
export function checkTask(value: unknown): asserts value is TaskSnapshot {
  if (!isRecord(value) || !isRecord(value.context))
    throw new InvalidSnapshotError('a task snapshot needs a context');
  const state = value.state;
  if (!isKey(TASK_RULES, state)) throw new InvalidSnapshotError(`unknown task state ${String(state)}`);
  const { overlap, open, filled, attempts, maxAttempts, condition } = value.context;
  if (!isCount(overlap, 1)) throw new InvalidSnapshotError(`overlap is ${String(overlap)}`);
  if (!isCount(open, 0)) throw new InvalidSnapshotError(`open is ${String(open)}`);
  if (!isCount(filled, 0)) throw new InvalidSnapshotError(`filled is ${String(filled)}`);
  if (!isCount(attempts, 0)) throw new InvalidSnapshotError(`attempts is ${String(attempts)}`);
  if (!isCount(maxAttempts, 1)) throw new InvalidSnapshotError(`maxAttempts is ${String(maxAttempts)}`);
  if (open + filled > overlap) {
    throw new InvalidSnapshotError(
      `${open} open and ${filled} filled slots exceed the overlap of ${overlap}`,
    );
  }
  if (state === 'held' ? !isKey(CONDITIONS, condition) : condition !== null) {
    throw new InvalidSnapshotError(`a ${state} task has the hold condition ${String(condition)}`);
  }
  const rules = TASK_RULES[state];
  if (open > 0 && !rules.mayBeOpen) throw new InvalidSnapshotError(`a ${state} task has ${open} open leases`);
  if (filled === 0 && rules.needsAnswer) throw new InvalidSnapshotError(`a ${state} task has no answer`);
  if (state === 'waiting' && filled === overlap)
    throw new InvalidSnapshotError('a waiting task has its overlap met');
}

/** @throws InvalidSnapshotError for a state this release does not know. */
export function checkAssignment(value: unknown): asserts value is AssignmentSnapshot {
  if (!isRecord(value) || !isKey(ASSIGNMENT_STATES, value.state)) {
    throw new InvalidSnapshotError(
      `unknown assignment state ${isRecord(value) ? String(value.state) : String(value)}`,
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && typeof value === 'number' && value >= least;
}

function isKey<K extends string>(table: Readonly<Record<K, unknown>>, key: unknown): key is K {
  return typeof key === 'string' && Object.hasOwn(table, key);
}
