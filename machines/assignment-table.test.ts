import { describe, expect, test } from 'vitest';
import { type AssignmentEvent, type AssignmentState, stepAssignment } from './index.ts';

/** Every state meets every event; a missing cell does not compile. */
type AssignmentRow = Readonly<Record<AssignmentEvent['type'], AssignmentState | 'refused'>>;

const DEAF: AssignmentRow = {
  ACCEPT: 'refused',
  SUBMIT: 'refused',
  EXPIRE: 'refused',
  ABANDON: 'refused',
  SKIP: 'refused',
  RELEASE: 'refused',
  REVOKE: 'refused',
  SUBMIT_LATE: 'refused',
  KEEP_SURPLUS: 'refused',
  REVIEW_ACCEPT: 'refused',
  REVIEW_REJECT: 'refused',
};

const ASSIGNMENT_TABLE: Readonly<Record<AssignmentState, AssignmentRow>> = {
  offered: {
    ACCEPT: 'active',
    SUBMIT: 'refused',
    EXPIRE: 'expired',
    ABANDON: 'abandoned',
    SKIP: 'skipped',
    RELEASE: 'released',
    REVOKE: 'revoked',
    SUBMIT_LATE: 'refused',
    KEEP_SURPLUS: 'refused',
    REVIEW_ACCEPT: 'refused',
    REVIEW_REJECT: 'refused',
  },
  active: {
    ACCEPT: 'refused',
    SUBMIT: 'submitted',
    EXPIRE: 'expired',
    ABANDON: 'abandoned',
    SKIP: 'skipped',
    RELEASE: 'released',
    REVOKE: 'revoked',
    SUBMIT_LATE: 'refused',
    KEEP_SURPLUS: 'refused',
    REVIEW_ACCEPT: 'refused',
    REVIEW_REJECT: 'refused',
  },
  submitted: {
    ACCEPT: 'refused',
    SUBMIT: 'refused',
    EXPIRE: 'refused',
    ABANDON: 'refused',
    SKIP: 'refused',
    RELEASE: 'refused',
    REVOKE: 'refused',
    SUBMIT_LATE: 'refused',
    KEEP_SURPLUS: 'refused',
    REVIEW_ACCEPT: 'accepted',
    REVIEW_REJECT: 'rejected',
  },
  expired: {
    ACCEPT: 'refused',
    SUBMIT: 'refused',
    EXPIRE: 'refused',
    ABANDON: 'refused',
    SKIP: 'refused',
    RELEASE: 'refused',
    REVOKE: 'refused',
    SUBMIT_LATE: 'submitted',
    KEEP_SURPLUS: 'surplus',
    REVIEW_ACCEPT: 'refused',
    REVIEW_REJECT: 'refused',
  },
  abandoned: {
    ACCEPT: 'refused',
    SUBMIT: 'refused',
    EXPIRE: 'refused',
    ABANDON: 'refused',
    SKIP: 'refused',
    RELEASE: 'refused',
    REVOKE: 'refused',
    SUBMIT_LATE: 'submitted',
    KEEP_SURPLUS: 'surplus',
    REVIEW_ACCEPT: 'refused',
    REVIEW_REJECT: 'refused',
  },
  accepted: DEAF,
  rejected: DEAF,
  skipped: DEAF,
  released: DEAF,
  revoked: DEAF,
  surplus: DEAF,
};

const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>) =>
  Object.keys(table).filter((key): key is K => Object.hasOwn(table, key));

describe.each(keysOf(ASSIGNMENT_TABLE))('an assignment that is %s', (state) => {
  test.each(keysOf(DEAF))('meets %s', (type) => {
    const step = stepAssignment({ state }, { type });
    expect(step.accepted ? step.next.state : 'refused').toBe(ASSIGNMENT_TABLE[state][type]);
  });
});
