import { z } from 'zod';
import { wireError } from '../errors.ts';
import type { JsonValue } from './json.ts';

const milliseconds = z.number();
/** Already parsed from JSON and as large as a task may be: it is not walked again. */
const jsonFromServer = z.custom<JsonValue>((value) => value !== undefined);

/** A lease as its holder sees it. All times are durations in milliseconds, from when the message was sent. */
export const wireAssignment = z.object({
  /** The lease token: name the assignment by it in every message. */
  id: z.string(),
  project: z.string(),
  taskId: z.string(),
  data: jsonFromServer,
  /** What you saved under an earlier lease of this task, or before a reconnect. */
  draft: z.custom<JsonValue>().optional(),
  /** `offered` waits for `work:accept`; `active` may be submitted. */
  state: z.enum(['offered', 'active']),
  /** Until the lease ends unless a heartbeat renews it, or until the offer ends unless it is accepted. */
  expiresInMs: milliseconds,
  /** Until it ends in any case. */
  maxDurationMs: milliseconds,
  /** 1 for the first lease of this task's slot; one more for each that ended without an answer. */
  attempt: z.number(),
});

/** Why there is nothing now, over all the projects asked. Counts of tasks and projects; a newer server may count more. */
export const wireWaiting = z.object({
  reasons: z.object({
    leased: z.number(),
    alreadyDone: z.number(),
    skill: z.number(),
    held: z.number(),
    pausedProjects: z.number(),
    unavailableProjects: z.number(),
    /** Until the next lease can end, or null when none is open. */
    nextExpiryMs: milliseconds.nullable(),
  }),
});

const seq = z.number().int().nonnegative();

export const wireSessionState = z.object({
  /** The number of the last push that this state includes. */
  seq,
  assignments: z.array(wireAssignment),
  waiting: wireWaiting.optional(),
  /** True after `session:pause` or a missed offer: nothing is pushed until `session:resume` or a request. */
  paused: z.boolean(),
});

/** Why a lease ended without being submitted. A newer server may know more reasons. */
export const END_REASONS = [
  'offer_timeout',
  'max_duration',
  'heartbeat_silence',
  'disconnected',
  'skipped',
  'released',
  'revoked',
  'task_cancelled',
  'annotator_paused',
  'annotator_banned',
  'quarantined',
  'submitted',
] as const;

/** What the server tells a client unasked. */
export const SERVER_PUSHES = {
  /** First on every connection: everything the client has to know. */
  'session:state': wireSessionState,
  'work:assigned': z.object({ seq, assignment: wireAssignment }),
  /** The lease ends soon unless it is renewed. */
  'work:expiring': z.object({ seq, assignmentId: z.string(), expiresInMs: milliseconds }),
  /** The lease has ended, by whatever hand, another tab's included. */
  'work:revoked': z.object({ seq, assignmentId: z.string(), reason: z.string() }),
  /** The last message of a connection that the server closes: why, and when to come back, if at all. */
  'session:closed': z.object({ error: wireError }),
} as const;

export type ServerEvent = keyof typeof SERVER_PUSHES;
export type WireAssignment = z.infer<typeof wireAssignment>;
export type WireWaiting = z.infer<typeof wireWaiting>;
export type WireSessionState = z.infer<typeof wireSessionState>;
export type EndReason = (typeof END_REASONS)[number];

/** The arguments of each push, as the server must send them. */
export interface ServerPushes {
  'session:state': WireSessionState;
  'work:assigned': { seq: number; assignment: WireAssignment };
  'work:expiring': { seq: number; assignmentId: string; expiresInMs: number };
  'work:revoked': { seq: number; assignmentId: string; reason: EndReason };
  'session:closed': { error: z.infer<typeof wireError> };
}
