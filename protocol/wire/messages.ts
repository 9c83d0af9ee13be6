import { z } from 'zod';
import { WIRE_LIMITS } from '../limits.ts';
import { inspectJson, isStorableText, type JsonValue } from './json.ts';

/**
 * What an annotator's client may send on the namespace `/annotator`. Keys unknown here are ignored, so that an
 * older server serves a newer client; a wrong value under a known key is refused.
 */
export interface ClientMessages {
  /** Ask for work. `projects` are slugs; absent: every active project open to you. */
  'work:request': { requestId: string; projects?: string[] | undefined };
  /** Take an offered assignment. */
  'work:accept': { assignmentId: string };
  /** Keep the leases named alive. */
  'work:heartbeat': { assignmentIds: string[] };
  /** Save the unfinished answer. The last draft replaces the one before. */
  'work:draft': { assignmentId: string; draft: JsonValue };
  /** Hand in the answer, and with `next: true` ask for the next task in the same round trip. */
  'work:submit': {
    assignmentId: string;
    submissionId: string;
    result: JsonValue;
    next?: boolean | undefined;
    projects?: string[] | undefined;
  };
  /** Give it back and never see this task again. */
  'work:skip': { assignmentId: string; reason?: string | undefined };
  /** Give it back; it may come again. */
  'work:release': { assignmentId: string };
  /** Be pushed nothing until `session:resume` or the next request. Leases stay. */
  'session:pause': Record<string, never>;
  'session:resume': Record<string, never>;
  /** Ask for the whole state, after a gap in the numbers. */
  'session:sync': Record<string, never>;
}

export type ClientEvent = keyof ClientMessages;

/** An id that a client makes up: it is stored, indexed and logged, so it is short and plain. */
const clientId = z
  .string()
  .regex(
    new RegExp(`^[\\w.:-]{1,${WIRE_LIMITS.clientIdLengthMax}}$`),
    `1-${WIRE_LIMITS.clientIdLengthMax} of A-Z a-z 0-9 _ . : -`,
  );

const assignmentId = z
  .string()
  .regex(/^[1-9]\d{0,9}-[1-9]\d{0,14}$/, 'an assignment id as the server gave it');

const projects = z
  .array(z.string().regex(new RegExp(`^[\\w.-]{1,${WIRE_LIMITS.slugLengthMax}}$`), 'a project slug'))
  .min(1)
  .max(WIRE_LIMITS.projectsMax)
  .optional();

/** The marker by which a refusal for size is told apart from one for shape. */
export const TOO_LARGE = 'too_large';

function json(bytesMax: number) {
  return z.custom<JsonValue>().superRefine((value, context) => {
    if (value === undefined) {
      context.addIssue({ code: 'custom', message: 'is required' });
      return;
    }
    const inspection = inspectJson(value, bytesMax);
    if (inspection.ok) return;
    const { code, message } = inspection.problem;
    context.addIssue({
      code: 'custom',
      message,
      ...(code === 'too_large' ? { params: { problem: TOO_LARGE } } : {}),
    });
  });
}

const nothing = z.object({});

export const CLIENT_MESSAGES: { readonly [Event in ClientEvent]: z.ZodType<ClientMessages[Event]> } = {
  'work:request': z.object({ requestId: clientId, projects }),
  'work:accept': z.object({ assignmentId }),
  'work:heartbeat': z.object({
    assignmentIds: z.array(assignmentId).min(1).max(WIRE_LIMITS.heartbeatAssignmentsMax),
  }),
  'work:draft': z.object({ assignmentId, draft: json(WIRE_LIMITS.draftBytesMax) }),
  'work:submit': z.object({
    assignmentId,
    submissionId: clientId,
    result: json(WIRE_LIMITS.resultBytesMax),
    next: z.boolean().optional(),
    projects,
  }),
  'work:skip': z.object({
    assignmentId,
    reason: z
      .string()
      .max(WIRE_LIMITS.reasonLengthMax)
      .refine(isStorableText, 'holds U+0000 or half a surrogate pair')
      .optional(),
  }),
  'work:release': z.object({ assignmentId }),
  'session:pause': nothing,
  'session:resume': nothing,
  'session:sync': nothing,
};

export function isClientEvent(name: unknown): name is ClientEvent {
  return typeof name === 'string' && Object.hasOwn(CLIENT_MESSAGES, name);
}
