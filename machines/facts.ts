import type { AssignmentEvent } from './assignment.ts';
import { type HoldCondition, hasFreeSlot, type TaskSnapshot } from './task.ts';

/** What a step of a task means to those above. Worked out from the two snapshots, so it cannot disagree with them. */
export type TaskFact =
  /** A free slot can be leased, and none could before. */
  | { readonly type: 'TaskReady' }
  /** It still waits for answers, but no slot is free any more. */
  | { readonly type: 'TaskFull' }
  /** It waits again after another state. */
  | { readonly type: 'TaskReopened' }
  | { readonly type: 'TaskCompleted' }
  | { readonly type: 'TaskHeld'; readonly condition: HoldCondition }
  | { readonly type: 'TaskCancelled' }
  | { readonly type: 'TaskInAdjudication' }
  | { readonly type: 'TaskInReview' };

export type AssignmentFact = {
  readonly type:
    | 'AssignmentStarted'
    | 'AssignmentSubmitted'
    | 'AssignmentExpired'
    | 'AssignmentAbandoned'
    | 'AssignmentSkipped'
    | 'AssignmentReleased'
    | 'AssignmentRevoked'
    | 'AssignmentSubmittedLate'
    | 'AssignmentKeptAsSurplus'
    | 'AnswerAccepted'
    | 'AnswerRejected';
};

export function taskFacts(before: TaskSnapshot, after: TaskSnapshot): readonly TaskFact[] {
  const facts: TaskFact[] = [];
  if (after.state !== before.state || after.context.condition !== before.context.condition) {
    const entered = factOfEntering(after);
    if (entered !== null) facts.push(entered);
  }
  const isReady = hasFreeSlot(after);
  if (isReady && !hasFreeSlot(before)) facts.push({ type: 'TaskReady' });
  if (!isReady && after.state === 'waiting' && hasFreeSlot(before)) facts.push({ type: 'TaskFull' });
  return facts;
}

function factOfEntering(after: TaskSnapshot): TaskFact | null {
  switch (after.state) {
    case 'waiting':
      return { type: 'TaskReopened' };
    case 'held':
      return after.context.condition === null
        ? null
        : { type: 'TaskHeld', condition: after.context.condition };
    case 'complete':
      return { type: 'TaskCompleted' };
    case 'cancelled':
      return { type: 'TaskCancelled' };
    case 'adjudicating':
      return { type: 'TaskInAdjudication' };
    case 'reviewing':
      return { type: 'TaskInReview' };
  }
}

const ASSIGNMENT_FACTS: Readonly<Record<AssignmentEvent['type'], readonly AssignmentFact[]>> = {
  ACCEPT: [{ type: 'AssignmentStarted' }],
  SUBMIT: [{ type: 'AssignmentSubmitted' }],
  EXPIRE: [{ type: 'AssignmentExpired' }],
  ABANDON: [{ type: 'AssignmentAbandoned' }],
  SKIP: [{ type: 'AssignmentSkipped' }],
  RELEASE: [{ type: 'AssignmentReleased' }],
  REVOKE: [{ type: 'AssignmentRevoked' }],
  SUBMIT_LATE: [{ type: 'AssignmentSubmittedLate' }],
  KEEP_SURPLUS: [{ type: 'AssignmentKeptAsSurplus' }],
  REVIEW_ACCEPT: [{ type: 'AnswerAccepted' }],
  REVIEW_REJECT: [{ type: 'AnswerRejected' }],
};

export function assignmentFacts(event: AssignmentEvent): readonly AssignmentFact[] {
  return ASSIGNMENT_FACTS[event.type];
}
