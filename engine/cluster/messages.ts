import { z } from 'zod';
import type { AssignmentView, RequestAnswer, SessionState } from '../door.ts';
import {
  type AnnotatorId,
  type AssignmentId,
  asId,
  type ProjectId,
  type ShardId,
  type TaskId,
} from '../ids.ts';
import { REFUSALS, type RefusalCode, type Result } from '../refusals.ts';
import type { Json } from '../settings.ts';
import type { ControlCommand, NodeGiveBack, NodePush, NodeRequest, NodeSubmit } from './node-door.ts';

/**
 * What nodes say to each other, checked as it comes in: the other may be of another release, and the channel is open to
 * whoever may publish. Task data and results are JSON that the bus has parsed; they are not looked into again.
 */
const number = z.number().int().positive();
const annotatorId = number.transform((n) => asId<AnnotatorId>(n));
const projectId = number.transform((n) => asId<ProjectId>(n));
const shardId = number.transform((n) => asId<ShardId>(n));
const taskId = number.transform((n) => asId<TaskId>(n));
const ref = z.object({ projectId, id: number.transform((n) => asId<AssignmentId>(n)) });
const json = z.custom<Json>((value) => value !== undefined);
const ms = z.number();
const count = z.number().int().nonnegative();
const address = z.string().min(1).max(100);
const text = z.string();

const endReason = z.enum([
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
]);

const assignment: z.ZodType<AssignmentView> = z.object({
  ref,
  annotatorId,
  project: text,
  taskId,
  data: json,
  draft: json.exactOptional(),
  state: z.enum(['offered', 'active']),
  expiresInMs: ms,
  maxDurationMs: ms,
  attempt: count,
  capacitySlot: count,
  shardId,
});

const waiting = z.object({
  leased: count,
  alreadyDone: count,
  skill: count,
  held: count,
  pausedProjects: count,
  unavailableProjects: count,
  nextExpiryMs: ms.nullable(),
});

const sessionState: z.ZodType<SessionState> = z.object({
  assignments: z.array(assignment),
  waiting: waiting.exactOptional(),
  paused: z.boolean(),
});

const requestAnswer: z.ZodType<RequestAnswer> = z.union([z.object({ assignment }), z.object({ waiting })]);
const receipt = z.object({
  assignment: ref,
  submissionId: text,
  status: z.enum(['counted', 'surplus']),
  late: z.boolean(),
});

const nodeRequestFields = {
  gateway: address,
  rev: count,
  projects: z.array(text).exactOptional(),
  first: projectId.exactOptional(),
  take: z.array(shardId),
  elsewhere: z.array(count),
  sole: z.boolean(),
};
const nodeRequest: z.ZodType<NodeRequest> = z.object({ annotatorId, requestId: text, ...nodeRequestFields });
const nodeGiveBack: z.ZodType<NodeGiveBack> = z.object({
  annotatorId,
  ref,
  how: z.enum(['skip', 'release']),
  gateway: address,
  reason: text.exactOptional(),
});
const nodeSubmit: z.ZodType<NodeSubmit> = z.object({
  annotatorId,
  ref,
  gateway: address,
  submissionId: text,
  result: json,
  next: z.object(nodeRequestFields).exactOptional(),
});

const actor = text;
const control: z.ZodType<ControlCommand> = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['cancelTask', 'requeueTask']), projectId, taskId, actor }),
  z.object({ kind: z.enum(['setPriority', 'setOverlap']), projectId, taskId, value: z.number(), actor }),
  z.object({ kind: z.literal('revoke'), ref, actor, reason: text.exactOptional() }),
  z.object({ kind: z.enum(['projectCreated', 'projectRead', 'live']), projectId }),
  z.object({
    kind: z.literal('projectChanged'),
    projectId,
    shardId,
    change: z.enum(['settings', 'paused', 'resumed', 'archived']),
    actor,
  }),
  z.object({ kind: z.literal('annotatorChanged'), annotatorId, actor }),
  z.object({ kind: z.enum(['tasksImported', 'adopt']), projectId, shardId }),
]);

const push: z.ZodType<NodePush> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('assigned'), assignment }),
  z.object({ kind: z.literal('expiring'), ref, expiresInMs: ms }),
  z.object({ kind: z.literal('revoked'), ref, reason: endReason }),
  z.object({ kind: z.literal('stale') }),
  z.object({ kind: z.literal('ready') }),
]);

const isRefusalCode = (value: unknown): value is RefusalCode =>
  typeof value === 'string' && Object.hasOwn(REFUSALS, value);
const refusal = z.object({
  ok: z.literal(false),
  code: z.custom<RefusalCode>(isRefusalCode),
  message: text,
  retryAfterMs: ms.exactOptional(),
  details: z.array(z.object({ path: text, message: text })).exactOptional(),
});

function method<Args, Value>(args: z.ZodType<Args>, value: z.ZodType<Value>) {
  const result: z.ZodType<Result<Value>> = z.union([z.object({ ok: z.literal(true), value }), refusal]);
  return { args, result };
}

const oneLease = z.object({ annotatorId, ref });

/** The methods of a node's door as they travel: what goes in, and what comes out. */
export const METHODS = {
  attach: method(
    z.object({ annotatorId, gateway: address, rev: count, shardIds: z.array(shardId) }),
    sessionState,
  ),
  detach: method(z.object({ annotatorId, gateway: address, rev: count }), z.null()),
  present: method(
    z.object({ gateway: address, rev: count, annotatorIds: z.array(annotatorId) }),
    z.object({ pushes: count }),
  ),
  state: method(z.object({ annotatorId }), sessionState),
  request: method(nodeRequest, requestAnswer),
  stopWaiting: method(z.object({ annotatorId }), z.null()),
  accept: method(oneLease, z.object({ expiresInMs: ms })),
  heartbeat: method(
    z.object({ annotatorId, refs: z.array(ref) }),
    z.object({ alive: z.array(z.object({ ref, expiresInMs: ms })), ended: z.array(ref) }),
  ),
  draft: method(z.object({ annotatorId, ref, draft: json }), z.object({ saved: z.literal(true) })),
  submit: method(nodeSubmit, z.object({ receipt, next: requestAnswer.exactOptional() })),
  giveBack: method(nodeGiveBack, z.object({ ended: z.literal(true) })),
  pause: method(z.object({ annotatorId }), z.object({ paused: z.literal(true) })),
  resume: method(z.object({ annotatorId }), sessionState),
  control: method(control, json),
};

export type MethodName = keyof typeof METHODS;
export type ArgsOf<Name extends MethodName> = z.output<(typeof METHODS)[Name]['args']>;
export type ResultOf<Name extends MethodName> = z.output<(typeof METHODS)[Name]['result']>;

export function isMethod(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}

/** @see Peers */
export const MESSAGE = z.discriminatedUnion('t', [
  z.object({ t: z.literal('call'), id: count, method: text, args: z.unknown() }),
  z.object({ t: z.literal('answer'), id: count, result: z.unknown() }),
  z.object({ t: z.literal('push'), seq: count, to: annotatorId, push }),
  z.object({ t: z.literal('feed'), feed: z.array(z.tuple([projectId, count])).max(10_000) }),
  z.object({ t: z.literal('changed') }),
]);
