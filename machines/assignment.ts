import { setup } from 'xstate';

export type AssignmentState =
  | 'offered'
  | 'active'
  | 'submitted'
  | 'accepted'
  | 'rejected'
  | 'expired'
  | 'abandoned'
  | 'skipped'
  | 'released'
  | 'revoked'
  | 'surplus';

/** Nothing: whose it is, which slot it holds and when it ends are the engine's data, and decide no transition. */
export type AssignmentContext = Record<string, never>;

export type AssignmentEvent =
  | { readonly type: 'ACCEPT' }
  | { readonly type: 'SUBMIT' }
  /** A deadline passed: of the offer, or of the longest duration. */
  | { readonly type: 'EXPIRE' }
  /** The holder went silent or stayed away. */
  | { readonly type: 'ABANDON' }
  | { readonly type: 'SKIP' }
  | { readonly type: 'RELEASE' }
  | { readonly type: 'REVOKE' }
  /** An answer came after the end, the slot was still free, and the project takes such answers. */
  | { readonly type: 'SUBMIT_LATE' }
  /** An answer came after the end and is kept beside the counted ones. */
  | { readonly type: 'KEEP_SURPLUS' }
  | { readonly type: 'REVIEW_ACCEPT' }
  | { readonly type: 'REVIEW_REJECT' };

export interface AssignmentSnapshot {
  readonly state: AssignmentState;
}

const ENDINGS = {
  EXPIRE: 'expired',
  ABANDON: 'abandoned',
  SKIP: 'skipped',
  RELEASE: 'released',
  REVOKE: 'revoked',
} as const;
const LATE_ANSWERS = { SUBMIT_LATE: 'submitted', KEEP_SURPLUS: 'surplus' } as const;

/** The life of an assignment: one lease, one machine. It never returns to an open state, so a lease is never reborn. */
export const assignmentMachine = setup({
  types: { context: {} as AssignmentContext, events: {} as AssignmentEvent },
}).createMachine({
  id: 'assignment',
  initial: 'active',
  context: {},
  states: {
    offered: { on: { ACCEPT: 'active', ...ENDINGS } },
    active: { on: { SUBMIT: 'submitted', ...ENDINGS } },
    submitted: { on: { REVIEW_ACCEPT: 'accepted', REVIEW_REJECT: 'rejected' } },
    expired: { on: LATE_ANSWERS },
    abandoned: { on: LATE_ANSWERS },
    accepted: { type: 'final' },
    rejected: { type: 'final' },
    skipped: { type: 'final' },
    released: { type: 'final' },
    revoked: { type: 'final' },
    surplus: { type: 'final' },
  },
});
