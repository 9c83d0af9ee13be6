import { z } from 'zod';
import { wireError } from '../errors.ts';
import type { ClientEvent } from './messages.ts';
import { wireAssignment, wireSessionState, wireWaiting } from './pushes.ts';

/** Either work, or why there is none; the one who waits is pushed `work:assigned` later. */
export const wireWork = z.union([
  z.object({ assignment: wireAssignment }),
  z.object({ waiting: wireWaiting }),
]);

export const wireReceipt = z.object({
  assignmentId: z.string(),
  submissionId: z.string(),
  /** `counted` fills a slot; `surplus` is kept, but the slot was already filled. */
  status: z.enum(['counted', 'surplus']),
  /** True when the lease had already ended as the submit came in. */
  late: z.boolean(),
});

/** What each message is acked with when it succeeds, beside `ok: true`. */
export const ANSWERS = {
  'work:request': wireWork,
  'work:accept': z.object({ expiresInMs: z.number() }),
  'work:heartbeat': z.object({
    alive: z.array(z.object({ assignmentId: z.string(), expiresInMs: z.number() })),
    ended: z.array(z.string()),
  }),
  'work:draft': z.object({ saved: z.literal(true) }),
  'work:submit': z.object({ receipt: wireReceipt, next: wireWork.optional() }),
  'work:skip': z.object({ ended: z.literal(true) }),
  'work:release': z.object({ ended: z.literal(true) }),
  'session:pause': z.object({ paused: z.literal(true) }),
  'session:resume': wireSessionState,
  'session:sync': wireSessionState,
} as const satisfies Record<ClientEvent, z.ZodType>;

export type WireWork = z.infer<typeof wireWork>;
export type WireReceipt = z.infer<typeof wireReceipt>;
export type Answers = { [Event in ClientEvent]: z.infer<(typeof ANSWERS)[Event]> };

/** The failed half of every ack. */
export const wireFailure = z.object({ ok: z.literal(false), error: wireError });
export type WireFailure = z.infer<typeof wireFailure>;

/** The argument of every ack. */
export type Ack<Event extends ClientEvent> = ({ ok: true } & Answers[Event]) | WireFailure;
