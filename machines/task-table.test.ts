import { describe, expect, test } from 'vitest';
import {
  InvalidSnapshotError,
  stepTask,
  type TaskContext,
  type TaskEvent,
  type TaskSnapshot,
  type TaskState,
} from './index.ts';

/**
 * Every state meets every event. The types leave no default: a new state or event does not compile until each of its
 * cells says what happens.
 */
type EventType = TaskEvent['type'];
type Payload<T extends EventType> = Omit<Extract<TaskEvent, { type: T }>, 'type'>;
type Outcome = TaskState | 'refused' | 'invalid';
interface Case<T extends EventType> {
  /** What differs from the state's ordinary context. */
  readonly given?: Partial<TaskContext>;
  /** What differs from the event's ordinary payload. */
  readonly event?: Payload<T>;
  readonly to: Outcome;
  /** What the step changes in the context. */
  readonly changes?: Partial<TaskContext>;
}
type Row = { readonly [T in EventType]: readonly [Case<T>, ...Case<T>[]] };

const ORDINARY: Readonly<Record<TaskState, TaskContext>> = {
  waiting: { overlap: 3, open: 1, filled: 1, attempts: 0, maxAttempts: 3, condition: null },
  held: { overlap: 3, open: 1, filled: 1, attempts: 3, maxAttempts: 3, condition: 'attempts_used_up' },
  complete: { overlap: 2, open: 0, filled: 2, attempts: 1, maxAttempts: 3, condition: null },
  adjudicating: { overlap: 2, open: 0, filled: 2, attempts: 1, maxAttempts: 3, condition: null },
  reviewing: { overlap: 2, open: 0, filled: 2, attempts: 1, maxAttempts: 3, condition: null },
  cancelled: { overlap: 3, open: 0, filled: 1, attempts: 1, maxAttempts: 3, condition: null },
};

const ORDINARY_EVENTS: { readonly [T in EventType]: Extract<TaskEvent, { type: T }> } = {
  LEASE: { type: 'LEASE' },
  FILL: { type: 'FILL' },
  FILL_FREE: { type: 'FILL_FREE' },
  FREE: { type: 'FREE', countsAttempt: true },
  DISCOUNT: { type: 'DISCOUNT' },
  HOLD: { type: 'HOLD', condition: 'supervisor' },
  REQUEUE: { type: 'REQUEUE' },
  CANCEL: { type: 'CANCEL' },
  SET_OVERLAP: { type: 'SET_OVERLAP', overlap: 5 },
  SET_MAX_ATTEMPTS: { type: 'SET_MAX_ATTEMPTS', maxAttempts: 7 },
  ADJUDICATE: { type: 'ADJUDICATE' },
  SETTLE: { type: 'SETTLE' },
  REVIEW: { type: 'REVIEW' },
  REVIEWED: { type: 'REVIEWED', accepted: true },
};

const refused = [{ to: 'refused' }] as const;
const newLimit = <S extends TaskState>(state: S) =>
  [
    { to: state, changes: { maxAttempts: 7 } },
    { event: { maxAttempts: 1 }, to: state, changes: { maxAttempts: 1 } },
    { event: { maxAttempts: 0 }, to: 'refused' },
    { event: { maxAttempts: 2.5 }, to: 'refused' },
  ] as const;
const onlyQuarantine = [
  { to: 'refused' },
  { event: { condition: 'attempts_used_up' }, to: 'refused' },
  { event: { condition: 'quarantined' }, to: 'held', changes: { condition: 'quarantined' } },
] as const;
const quarantined = { condition: 'quarantined' } as const;

const TASK_TABLE: Readonly<Record<TaskState, Row>> = {
  waiting: {
    LEASE: [
      { to: 'waiting', changes: { open: 2 } },
      { given: { open: 2 }, to: 'refused' },
    ],
    FILL: [
      { to: 'waiting', changes: { open: 0, filled: 2 } },
      { given: { filled: 2 }, to: 'complete', changes: { open: 0, filled: 3 } },
      { given: { open: 0 }, to: 'invalid' },
    ],
    FILL_FREE: [
      { to: 'waiting', changes: { filled: 2 } },
      { given: { open: 0, filled: 2 }, to: 'complete', changes: { filled: 3 } },
      { given: { open: 2 }, to: 'refused' },
    ],
    FREE: [
      { to: 'waiting', changes: { open: 0, attempts: 1 } },
      { event: { countsAttempt: false }, to: 'waiting', changes: { open: 0 } },
      {
        given: { attempts: 2 },
        to: 'held',
        changes: { open: 0, attempts: 3, condition: 'attempts_used_up' },
      },
      { given: { attempts: 2 }, event: { countsAttempt: false }, to: 'waiting', changes: { open: 0 } },
      {
        given: { attempts: 5 },
        event: { countsAttempt: false },
        to: 'held',
        changes: { open: 0, condition: 'attempts_used_up' },
      },
      { given: { open: 0 }, to: 'invalid' },
    ],
    DISCOUNT: [
      { to: 'waiting', changes: { filled: 0 } },
      { given: { filled: 0 }, to: 'invalid' },
    ],
    HOLD: [
      { to: 'held', changes: { condition: 'supervisor' } },
      { event: { condition: 'attempts_used_up' }, to: 'held', changes: { condition: 'attempts_used_up' } },
      { event: { condition: 'quarantined' }, to: 'held', changes: { condition: 'quarantined' } },
    ],
    REQUEUE: [{ given: { attempts: 2 }, to: 'waiting', changes: { attempts: 0 } }],
    CANCEL: [{ to: 'refused' }, { given: { open: 0 }, to: 'cancelled' }],
    SET_OVERLAP: [
      { to: 'waiting', changes: { overlap: 5 } },
      { event: { overlap: 2 }, to: 'waiting', changes: { overlap: 2 } },
      { event: { overlap: 1 }, to: 'refused' },
      { given: { open: 0 }, event: { overlap: 1 }, to: 'complete', changes: { overlap: 1 } },
      { given: { open: 0, filled: 0 }, event: { overlap: 0 }, to: 'refused' },
      { event: { overlap: 3.5 }, to: 'refused' },
      { event: { overlap: Number.NaN }, to: 'refused' },
    ],
    SET_MAX_ATTEMPTS: newLimit('waiting'),
    ADJUDICATE: [
      { to: 'refused' },
      { given: { open: 0 }, to: 'adjudicating' },
      { given: { open: 0, filled: 0 }, to: 'refused' },
    ],
    SETTLE: refused,
    REVIEW: refused,
    REVIEWED: refused,
  },
  held: {
    LEASE: refused,
    FILL: [
      { to: 'held', changes: { open: 0, filled: 2 } },
      { given: { filled: 2 }, to: 'complete', changes: { open: 0, filled: 3, condition: null } },
      { given: { ...quarantined, filled: 2 }, to: 'held', changes: { open: 0, filled: 3 } },
      { given: { open: 0 }, to: 'invalid' },
    ],
    FILL_FREE: [
      { to: 'held', changes: { filled: 2 } },
      { given: { condition: 'supervisor' }, to: 'held', changes: { filled: 2 } },
      { given: { open: 0, filled: 2 }, to: 'complete', changes: { filled: 3, condition: null } },
      { given: { open: 2 }, to: 'refused' },
      { given: quarantined, to: 'refused' },
      { given: { ...quarantined, open: 0, filled: 2 }, to: 'refused' },
    ],
    FREE: [
      { to: 'held', changes: { open: 0, attempts: 4 } },
      { event: { countsAttempt: false }, to: 'held', changes: { open: 0 } },
      { given: { condition: 'supervisor' }, to: 'held', changes: { open: 0, attempts: 4 } },
      { given: { open: 0 }, to: 'invalid' },
    ],
    DISCOUNT: [
      { to: 'held', changes: { filled: 0 } },
      { given: { filled: 0 }, to: 'invalid' },
    ],
    HOLD: [
      { to: 'held', changes: { condition: 'supervisor' } },
      { given: { condition: 'supervisor' }, to: 'refused' },
      { given: quarantined, to: 'refused' },
      { given: { condition: 'supervisor' }, event: { condition: 'attempts_used_up' }, to: 'refused' },
      { event: { condition: 'quarantined' }, to: 'held', changes: { condition: 'quarantined' } },
    ],
    REQUEUE: [
      { to: 'waiting', changes: { attempts: 0, condition: null } },
      { given: quarantined, to: 'waiting', changes: { attempts: 0, condition: null } },
      {
        given: { ...quarantined, open: 0, filled: 3 },
        to: 'complete',
        changes: { attempts: 0, condition: null },
      },
    ],
    CANCEL: [{ to: 'refused' }, { given: { open: 0 }, to: 'cancelled', changes: { condition: null } }],
    SET_OVERLAP: [
      { to: 'held', changes: { overlap: 5 } },
      { event: { overlap: 1 }, to: 'refused' },
      {
        given: { open: 0 },
        event: { overlap: 1 },
        to: 'complete',
        changes: { overlap: 1, condition: null },
      },
      { given: { ...quarantined, open: 0 }, event: { overlap: 1 }, to: 'held', changes: { overlap: 1 } },
    ],
    SET_MAX_ATTEMPTS: newLimit('held'),
    ADJUDICATE: refused,
    SETTLE: refused,
    REVIEW: refused,
    REVIEWED: refused,
  },
  complete: {
    LEASE: refused,
    FILL: refused,
    FILL_FREE: [{ to: 'refused' }, { given: { filled: 1 }, to: 'refused' }],
    FREE: refused,
    DISCOUNT: [{ to: 'waiting', changes: { filled: 1 } }],
    HOLD: onlyQuarantine,
    REQUEUE: refused,
    CANCEL: refused,
    SET_OVERLAP: [
      { to: 'waiting', changes: { overlap: 5 } },
      { event: { overlap: 2 }, to: 'complete' },
      { event: { overlap: 1 }, to: 'refused' },
      { given: { filled: 1 }, event: { overlap: 1 }, to: 'complete', changes: { overlap: 1 } },
    ],
    SET_MAX_ATTEMPTS: newLimit('complete'),
    ADJUDICATE: [{ to: 'adjudicating' }],
    SETTLE: refused,
    REVIEW: [{ to: 'reviewing' }],
    REVIEWED: refused,
  },
  adjudicating: {
    LEASE: refused,
    FILL: refused,
    FILL_FREE: refused,
    FREE: refused,
    DISCOUNT: [
      { to: 'adjudicating', changes: { filled: 1 } },
      { given: { filled: 1 }, to: 'waiting', changes: { filled: 0 } },
    ],
    HOLD: onlyQuarantine,
    REQUEUE: refused,
    CANCEL: [{ to: 'cancelled' }],
    SET_OVERLAP: refused,
    SET_MAX_ATTEMPTS: newLimit('adjudicating'),
    ADJUDICATE: refused,
    SETTLE: [{ to: 'complete' }, { given: { filled: 1 }, to: 'complete' }],
    REVIEW: refused,
    REVIEWED: refused,
  },
  reviewing: {
    LEASE: refused,
    FILL: refused,
    FILL_FREE: refused,
    FREE: refused,
    DISCOUNT: [{ to: 'waiting', changes: { filled: 1 } }],
    HOLD: onlyQuarantine,
    REQUEUE: refused,
    CANCEL: [{ to: 'cancelled' }],
    SET_OVERLAP: refused,
    SET_MAX_ATTEMPTS: newLimit('reviewing'),
    ADJUDICATE: refused,
    SETTLE: refused,
    REVIEW: refused,
    REVIEWED: [{ to: 'complete' }, { event: { accepted: false }, to: 'waiting', changes: { filled: 1 } }],
  },
  cancelled: {
    LEASE: refused,
    FILL: refused,
    FILL_FREE: refused,
    FREE: refused,
    DISCOUNT: [
      { to: 'cancelled', changes: { filled: 0 } },
      { given: { filled: 0 }, to: 'invalid' },
    ],
    HOLD: [{ to: 'refused' }, { event: { condition: 'quarantined' }, to: 'refused' }],
    REQUEUE: [
      { to: 'waiting', changes: { attempts: 0 } },
      { given: { filled: 3 }, to: 'complete', changes: { attempts: 0 } },
    ],
    CANCEL: refused,
    SET_OVERLAP: [
      { to: 'cancelled', changes: { overlap: 5 } },
      { given: { filled: 3 }, event: { overlap: 2 }, to: 'refused' },
    ],
    SET_MAX_ATTEMPTS: newLimit('cancelled'),
    ADJUDICATE: refused,
    SETTLE: refused,
    REVIEW: refused,
    REVIEWED: refused,
  },
};

function outcomeOf(snapshot: TaskSnapshot, event: TaskEvent): { to: Outcome; context: TaskContext } {
  try {
    const step = stepTask(snapshot, event);
    return step.accepted
      ? { to: step.next.state, context: step.next.context }
      : { to: 'refused', context: snapshot.context };
  } catch (error) {
    if (error instanceof InvalidSnapshotError) return { to: 'invalid', context: snapshot.context };
    throw error;
  }
}

const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>) =>
  Object.keys(table).filter((key): key is K => Object.hasOwn(table, key));

describe.each(keysOf(TASK_TABLE))('a task that is %s', (state) => {
  test.each(keysOf(ORDINARY_EVENTS))('meets %s', (type) => {
    for (const { given, event, to, changes } of TASK_TABLE[state][type]) {
      const context = { ...ORDINARY[state], ...given };
      const outcome = outcomeOf({ state, context }, { ...ORDINARY_EVENTS[type], ...event });
      expect(outcome, JSON.stringify({ given, event })).toEqual({
        to,
        context: { ...context, ...changes },
      });
    }
  });
});
