import type { WorkDoor } from '../../engine/door.ts';
import {
  type AnnotatorId,
  type AssignmentRef,
  formatAssignmentRef,
  parseAssignmentRef,
} from '../../engine/ids.ts';
import { ok, type Result, refuse } from '../../engine/refusals.ts';
import type { Answers, ClientEvent, ClientMessages } from '../../protocol/wire/index.ts';
import {
  toWireAssignment,
  toWireReceipt,
  toWireState,
  toWireWork,
  type UnnumberedPush,
} from './translate.ts';

export interface RouteContext {
  readonly work: WorkDoor;
  readonly annotatorId: AnnotatorId;
  /** Tells the annotator's other connections what this one's message changed: tabs share their leases. */
  readonly tellOthers: (push: UnnumberedPush) => void;
}

/** A state is numbered by the connection that carries it, so routes leave the number out. */
export type Unnumbered<Body> = Body extends { seq: number } ? Omit<Body, 'seq'> : Body;

export type Route<Event extends ClientEvent> = (
  context: RouteContext,
  message: ClientMessages[Event],
) => Promise<Result<Unnumbered<Answers[Event]>>>;

/** The messages that are answered with the whole state: pushes must not overtake it. */
export const STATE_EVENTS: ReadonlySet<ClientEvent> = new Set(['session:sync', 'session:resume']);

/** One row per message: from the wire to the engine's door and back, and nothing else. */
export const ROUTES: { readonly [Event in ClientEvent]: Route<Event> } = {
  'work:request': async ({ work, annotatorId, tellOthers }, { requestId, projects }) => {
    const answer = await work.request({
      annotatorId,
      requestId,
      ...(projects === undefined ? {} : { projects }),
    });
    if (!answer.ok) return answer;
    if ('assignment' in answer.value) tellOthers(assigned(answer.value.assignment));
    return ok(toWireWork(answer.value));
  },

  'work:accept': async ({ work, annotatorId }, { assignmentId }) =>
    withRef(assignmentId, (ref) => work.accept(annotatorId, ref)),

  'work:heartbeat': async ({ work, annotatorId }, { assignmentIds }) => {
    const refs = assignmentIds.map(parseAssignmentRef).filter((ref) => ref !== undefined);
    const answer = await work.heartbeat(annotatorId, refs);
    if (!answer.ok) return answer;
    return ok({
      alive: answer.value.alive.map(({ ref, expiresInMs }) => ({
        assignmentId: formatAssignmentRef(ref),
        expiresInMs,
      })),
      ended: answer.value.ended.map(formatAssignmentRef),
    });
  },

  'work:draft': async ({ work, annotatorId }, { assignmentId, draft }) =>
    withRef(assignmentId, (ref) => work.draft(annotatorId, ref, draft)),

  'work:submit': async ({ work, annotatorId, tellOthers }, message) => {
    const { assignmentId, submissionId, result, next = false, projects } = message;
    return withRef(assignmentId, async (ref) => {
      const answer = await work.submit({
        annotatorId,
        ref,
        submissionId,
        result,
        next,
        ...(projects === undefined ? {} : { projects }),
      });
      if (!answer.ok) return answer;
      tellOthers(ended(assignmentId, 'submitted'));
      const more = answer.value.next;
      if (more !== undefined && 'assignment' in more) tellOthers(assigned(more.assignment));
      return ok({
        receipt: toWireReceipt(answer.value.receipt),
        ...(more === undefined ? {} : { next: toWireWork(more) }),
      });
    });
  },

  'work:skip': async ({ work, annotatorId, tellOthers }, { assignmentId, reason }) =>
    withRef(assignmentId, async (ref) => {
      const answer = await work.skip(annotatorId, ref, reason);
      if (answer.ok) tellOthers(ended(assignmentId, 'skipped'));
      return answer;
    }),

  'work:release': async ({ work, annotatorId, tellOthers }, { assignmentId }) =>
    withRef(assignmentId, async (ref) => {
      const answer = await work.release(annotatorId, ref);
      if (answer.ok) tellOthers(ended(assignmentId, 'released'));
      return answer;
    }),

  'session:pause': ({ work, annotatorId }) => work.pause(annotatorId),

  'session:resume': async ({ work, annotatorId }) => {
    const state = await work.resume(annotatorId);
    return state.ok ? ok(toWireState(state.value)) : state;
  },

  'session:sync': async ({ work, annotatorId }) => {
    const state = await work.state(annotatorId);
    return state.ok ? ok(toWireState(state.value)) : state;
  },
};

async function withRef<T>(
  assignmentId: string,
  act: (ref: AssignmentRef) => Promise<Result<T>>,
): Promise<Result<T>> {
  const ref = parseAssignmentRef(assignmentId);
  return ref === undefined ? refuse('unknown_assignment') : act(ref);
}

function assigned(view: Parameters<typeof toWireAssignment>[0]): UnnumberedPush {
  return { event: 'work:assigned', body: { assignment: toWireAssignment(view) } };
}

function ended(assignmentId: string, reason: 'submitted' | 'skipped' | 'released'): UnnumberedPush {
  return { event: 'work:revoked', body: { assignmentId, reason } };
}
