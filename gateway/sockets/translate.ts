import type {
  AnnotatorPush,
  AssignmentView,
  Receipt,
  RequestAnswer,
  SessionState,
  WaitingReasons,
} from '../../engine/door.ts';
import { formatAssignmentRef } from '../../engine/ids.ts';
import type { Refusal } from '../../engine/refusals.ts';
import { type WireError, wireErrorOf } from '../../protocol/errors.ts';
import type {
  EndReason,
  WireAssignment,
  WireReceipt,
  WireSessionState,
  WireWaiting,
  WireWork,
} from '../../protocol/wire/index.ts';

/** A push before it has its number. */
export type UnnumberedPush =
  | { readonly event: 'work:assigned'; readonly body: { assignment: WireAssignment } }
  | { readonly event: 'work:expiring'; readonly body: { assignmentId: string; expiresInMs: number } }
  | { readonly event: 'work:revoked'; readonly body: { assignmentId: string; reason: EndReason } };

export function toWireAssignment(view: AssignmentView): WireAssignment {
  return {
    id: formatAssignmentRef(view.ref),
    project: view.project,
    taskId: String(view.taskId),
    data: view.data,
    ...(view.draft === undefined ? {} : { draft: view.draft }),
    state: view.state,
    expiresInMs: view.expiresInMs,
    maxDurationMs: view.maxDurationMs,
    attempt: view.attempt,
  };
}

export function toWireWaiting(reasons: WaitingReasons): WireWaiting {
  return { reasons: { ...reasons } };
}

export function toWireWork(answer: RequestAnswer): WireWork {
  if ('assignment' in answer) return { assignment: toWireAssignment(answer.assignment) };
  return { waiting: toWireWaiting(answer.waiting) };
}

export function toWireState(state: SessionState): Omit<WireSessionState, 'seq'> {
  return {
    assignments: state.assignments.map(toWireAssignment),
    ...(state.waiting === undefined ? {} : { waiting: toWireWaiting(state.waiting) }),
    paused: state.paused,
  };
}

export function toWireReceipt(receipt: Receipt): WireReceipt {
  return {
    assignmentId: formatAssignmentRef(receipt.assignment),
    submissionId: receipt.submissionId,
    status: receipt.status,
    late: receipt.late,
  };
}

export function toWireError(refusal: Refusal): WireError {
  return wireErrorOf(refusal.code, refusal.message, {
    retryAfterMs: refusal.retryAfterMs,
    details: refusal.details,
  });
}

/** What is told in numbered events; `stale` is answered with the whole state instead. */
export type EventPush = Exclude<AnnotatorPush, { kind: 'stale' }>;

export function toWirePush(push: EventPush): UnnumberedPush {
  switch (push.kind) {
    case 'assigned':
      return { event: 'work:assigned', body: { assignment: toWireAssignment(push.assignment) } };
    case 'expiring':
      return {
        event: 'work:expiring',
        body: { assignmentId: formatAssignmentRef(push.ref), expiresInMs: push.expiresInMs },
      };
    case 'revoked':
      return {
        event: 'work:revoked',
        body: { assignmentId: formatAssignmentRef(push.ref), reason: push.reason },
      };
  }
}
