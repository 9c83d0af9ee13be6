import { assign, setup } from 'xstate';

export type TaskState = 'waiting' | 'adjudicating' | 'reviewing' | 'held' | 'complete' | 'cancelled';
export type HoldCondition = 'attempts_used_up' | 'supervisor' | 'quarantined';

export interface TaskContext {
  /** Counted answers the task needs. */
  readonly overlap: number;
  /** Leases that are open now. */
  readonly open: number;
  /** Answers that count now. */
  readonly filled: number;
  /** Leases that ended without an answer since the task was created or requeued. */
  readonly attempts: number;
  readonly maxAttempts: number;
  /** Why it is held; null in every other state. */
  readonly condition: HoldCondition | null;
}

export type TaskEvent =
  /** A free slot was leased. */
  | { readonly type: 'LEASE' }
  /** An open slot got its answer. */
  | { readonly type: 'FILL' }
  /** A late answer takes a free slot. */
  | { readonly type: 'FILL_FREE' }
  /** An open lease ended without an answer. */
  | { readonly type: 'FREE'; readonly countsAttempt: boolean }
  /** A counted answer stops counting. */
  | { readonly type: 'DISCOUNT' }
  | { readonly type: 'HOLD'; readonly condition: HoldCondition }
  /** Held, cancelled or waiting: start again with no attempts behind it. */
  | { readonly type: 'REQUEUE' }
  /** Only without open leases: whoever cancels ends those first. */
  | { readonly type: 'CANCEL' }
  | { readonly type: 'SET_OVERLAP'; readonly overlap: number }
  /** The project's limit changed. Moves nothing by itself: the next FREE looks at it. */
  | { readonly type: 'SET_MAX_ATTEMPTS'; readonly maxAttempts: number }
  | { readonly type: 'ADJUDICATE' }
  | { readonly type: 'SETTLE' }
  | { readonly type: 'REVIEW' }
  | { readonly type: 'REVIEWED'; readonly accepted: boolean };

/** A task at rest: plain data, what the engine keeps in columns. */
export interface TaskSnapshot {
  readonly state: TaskState;
  readonly context: TaskContext;
}

/** Whether a lease may be granted: the condition for being in the ready queue. */
export function hasFreeSlot(snapshot: TaskSnapshot): boolean {
  const { open, filled, overlap } = snapshot.context;
  return snapshot.state === 'waiting' && open + filled < overlap;
}

/** A higher rank replaces a lower one, so a quarantine is never hidden behind a milder hold. */
const HOLD_RANKS = { attempts_used_up: 1, supervisor: 2, quarantined: 3 } as const satisfies Record<
  HoldCondition,
  number
>;

/**
 * The life of a task. Pure: no clock, no randomness, no effects. Rules it keeps:
 *
 * M1 open + filled never exceeds overlap; leases are open only while it waits or is held.
 * M2 it completes by answers exactly when filled reaches overlap; a settlement may complete it earlier.
 * M3 what ends a quarantine is a person: REQUEUE or CANCEL. Answers to open leases are counted meanwhile.
 *
 * Counts below zero are not guarded here: the door (step.ts) refuses to let such a snapshot out.
 */
export const taskMachine = setup({
  types: {
    context: {} as TaskContext,
    events: {} as TaskEvent,
    input: {} as Pick<TaskContext, 'overlap' | 'maxAttempts'>,
  },
  guards: {
    slotIsFree: ({ context }) => context.open + context.filled < context.overlap,
    lateAnswerIsWelcome: ({ context }) =>
      context.open + context.filled < context.overlap && context.condition !== 'quarantined',
    answerCompletes: ({ context }) =>
      context.filled + 1 >= context.overlap && context.condition !== 'quarantined',
    lateAnswerCompletes: ({ context }) =>
      context.open === 0 && context.filled + 1 === context.overlap && context.condition !== 'quarantined',
    attemptsAreUsedUp: ({ context }, params: { countsAttempt: boolean }) =>
      context.attempts + (params.countsAttempt ? 1 : 0) >= context.maxAttempts,
    answersRemain: ({ context }) => context.filled > 1,
    overlapIsMet: ({ context }) => context.filled >= context.overlap,
    nothingIsOpen: ({ context }) => context.open === 0,
    answeredAndNothingIsOpen: ({ context }) => context.filled > 0 && context.open === 0,
    holdIsStronger: ({ context }, params: { condition: HoldCondition }) =>
      context.condition !== null && HOLD_RANKS[params.condition] > HOLD_RANKS[context.condition],
    isQuarantine: (_, params: { condition: HoldCondition }) => params.condition === 'quarantined',
    overlapIsPossible: ({ context }, params: { overlap: number }) =>
      Number.isSafeInteger(params.overlap) &&
      params.overlap >= 1 &&
      params.overlap >= context.open + context.filled,
    newOverlapIsMet: ({ context }, params: { overlap: number }) =>
      Number.isSafeInteger(params.overlap) &&
      params.overlap >= 1 &&
      params.overlap === context.filled &&
      context.open === 0 &&
      context.condition !== 'quarantined',
    overlapGrows: ({ context }, params: { overlap: number }) =>
      Number.isSafeInteger(params.overlap) && params.overlap > context.overlap,
    limitIsPossible: (_, params: { maxAttempts: number }) =>
      Number.isSafeInteger(params.maxAttempts) && params.maxAttempts >= 1,
    answerIsAccepted: (_, params: { accepted: boolean }) => params.accepted,
  },
  actions: {
    openLease: assign(({ context }) => ({ open: context.open + 1 })),
    fillOpenSlot: assign(({ context }) => ({ open: context.open - 1, filled: context.filled + 1 })),
    fillFreeSlot: assign(({ context }) => ({ filled: context.filled + 1 })),
    endLease: assign(({ context }, params: { countsAttempt: boolean }) => ({
      open: context.open - 1,
      attempts: context.attempts + (params.countsAttempt ? 1 : 0),
    })),
    discountAnswer: assign(({ context }) => ({ filled: context.filled - 1 })),
    nameCondition: assign((_, params: { condition: HoldCondition }) => ({ condition: params.condition })),
    clearCondition: assign({ condition: null }),
    forgetAttempts: assign({ attempts: 0, condition: null }),
    setOverlap: assign((_, params: { overlap: number }) => ({ overlap: params.overlap })),
    setMaxAttempts: assign((_, params: { maxAttempts: number }) => ({ maxAttempts: params.maxAttempts })),
  },
}).createMachine({
  id: 'task',
  initial: 'waiting',
  context: ({ input }) => ({
    overlap: input.overlap,
    open: 0,
    filled: 0,
    attempts: 0,
    maxAttempts: input.maxAttempts,
    condition: null,
  }),
  states: {
    waiting: {
      on: {
        LEASE: { guard: 'slotIsFree', actions: 'openLease' },
        FILL: [
          { guard: 'answerCompletes', target: 'complete', actions: 'fillOpenSlot' },
          { actions: 'fillOpenSlot' },
        ],
        FILL_FREE: [
          { guard: 'lateAnswerCompletes', target: 'complete', actions: 'fillFreeSlot' },
          { guard: 'slotIsFree', actions: 'fillFreeSlot' },
        ],
        FREE: [
          {
            guard: { type: 'attemptsAreUsedUp', params: ({ event }) => event },
            target: 'held',
            actions: [
              { type: 'endLease', params: ({ event }) => event },
              { type: 'nameCondition', params: { condition: 'attempts_used_up' } },
            ],
          },
          { actions: { type: 'endLease', params: ({ event }) => event } },
        ],
        DISCOUNT: { actions: 'discountAnswer' },
        HOLD: { target: 'held', actions: { type: 'nameCondition', params: ({ event }) => event } },
        REQUEUE: { actions: 'forgetAttempts' },
        CANCEL: { guard: 'nothingIsOpen', target: 'cancelled' },
        SET_OVERLAP: [
          {
            guard: { type: 'newOverlapIsMet', params: ({ event }) => event },
            target: 'complete',
            actions: { type: 'setOverlap', params: ({ event }) => event },
          },
          {
            guard: { type: 'overlapIsPossible', params: ({ event }) => event },
            actions: { type: 'setOverlap', params: ({ event }) => event },
          },
        ],
        ADJUDICATE: { guard: 'answeredAndNothingIsOpen', target: 'adjudicating' },
      },
    },
    held: {
      on: {
        FILL: [
          { guard: 'answerCompletes', target: 'complete', actions: ['fillOpenSlot', 'clearCondition'] },
          { actions: 'fillOpenSlot' },
        ],
        FILL_FREE: [
          { guard: 'lateAnswerCompletes', target: 'complete', actions: ['fillFreeSlot', 'clearCondition'] },
          { guard: 'lateAnswerIsWelcome', actions: 'fillFreeSlot' },
        ],
        FREE: { actions: { type: 'endLease', params: ({ event }) => event } },
        DISCOUNT: { actions: 'discountAnswer' },
        HOLD: {
          guard: { type: 'holdIsStronger', params: ({ event }) => event },
          actions: { type: 'nameCondition', params: ({ event }) => event },
        },
        REQUEUE: [
          { guard: 'overlapIsMet', target: 'complete', actions: 'forgetAttempts' },
          { target: 'waiting', actions: 'forgetAttempts' },
        ],
        CANCEL: { guard: 'nothingIsOpen', target: 'cancelled', actions: 'clearCondition' },
        SET_OVERLAP: [
          {
            guard: { type: 'newOverlapIsMet', params: ({ event }) => event },
            target: 'complete',
            actions: [{ type: 'setOverlap', params: ({ event }) => event }, 'clearCondition'],
          },
          {
            guard: { type: 'overlapIsPossible', params: ({ event }) => event },
            actions: { type: 'setOverlap', params: ({ event }) => event },
          },
        ],
      },
    },
    complete: {
      on: {
        DISCOUNT: { target: 'waiting', actions: 'discountAnswer' },
        HOLD: {
          guard: { type: 'isQuarantine', params: ({ event }) => event },
          target: 'held',
          actions: { type: 'nameCondition', params: ({ event }) => event },
        },
        SET_OVERLAP: [
          {
            guard: { type: 'overlapGrows', params: ({ event }) => event },
            target: 'waiting',
            actions: { type: 'setOverlap', params: ({ event }) => event },
          },
          {
            guard: { type: 'overlapIsPossible', params: ({ event }) => event },
            actions: { type: 'setOverlap', params: ({ event }) => event },
          },
        ],
        ADJUDICATE: { target: 'adjudicating' },
        REVIEW: { target: 'reviewing' },
      },
    },
    adjudicating: {
      on: {
        SETTLE: { target: 'complete' },
        DISCOUNT: [
          { guard: 'answersRemain', actions: 'discountAnswer' },
          { target: 'waiting', actions: 'discountAnswer' },
        ],
        HOLD: {
          guard: { type: 'isQuarantine', params: ({ event }) => event },
          target: 'held',
          actions: { type: 'nameCondition', params: ({ event }) => event },
        },
        CANCEL: { guard: 'nothingIsOpen', target: 'cancelled' },
      },
    },
    reviewing: {
      on: {
        REVIEWED: [
          { guard: { type: 'answerIsAccepted', params: ({ event }) => event }, target: 'complete' },
          { target: 'waiting', actions: 'discountAnswer' },
        ],
        DISCOUNT: { target: 'waiting', actions: 'discountAnswer' },
        HOLD: {
          guard: { type: 'isQuarantine', params: ({ event }) => event },
          target: 'held',
          actions: { type: 'nameCondition', params: ({ event }) => event },
        },
        CANCEL: { guard: 'nothingIsOpen', target: 'cancelled' },
      },
    },
    cancelled: {
      on: {
        DISCOUNT: { actions: 'discountAnswer' },
        REQUEUE: [
          { guard: 'overlapIsMet', target: 'complete', actions: 'forgetAttempts' },
          { target: 'waiting', actions: 'forgetAttempts' },
        ],
        SET_OVERLAP: {
          guard: { type: 'overlapIsPossible', params: ({ event }) => event },
          actions: { type: 'setOverlap', params: ({ event }) => event },
        },
      },
    },
  },
  on: {
    SET_MAX_ATTEMPTS: {
      guard: { type: 'limitIsPossible', params: ({ event }) => event },
      actions: { type: 'setMaxAttempts', params: ({ event }) => event },
    },
  },
});
