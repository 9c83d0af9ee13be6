import type { Address } from '../bus/bus.ts';
import type { AnnotatorPush, Receipt, RequestAnswer, SessionState } from '../door.ts';
import type { AnnotatorId, AssignmentRef, ProjectId, ShardId, TaskId } from '../ids.ts';
import type { Result } from '../refusals.ts';
import type { Json } from '../settings.ts';

/** A request for work, as a gateway sends it to one of the engines that may have some. */
export interface NodeRequest {
  readonly annotatorId: AnnotatorId;
  readonly gateway: Address;
  /** Who asks is there (see `attach`); 0: they have no socket at the gateway. */
  readonly rev: number;
  readonly requestId: string;
  /** Slugs; absent: any. */
  readonly projects?: readonly string[];
  /** Tried first among projects of equal priority: people stay with what they are doing. */
  readonly first?: ProjectId;
  /** Shards that nobody owns: this engine shall take them. */
  readonly take: readonly ShardId[];
  /** Places of the annotator's capacity that leases at other engines fill. */
  readonly elsewhere: readonly number[];
  /**
   * Nobody else can give this annotator anything: a slot that comes free is leased to them at once. Otherwise they are
   * told that there is something and ask for it, so that two engines never give at the same time (I2).
   */
  readonly sole: boolean;
}

/** What an engine says to the gateways of an annotator. */
export type NodePush = AnnotatorPush | { readonly kind: 'ready' };

/**
 * What one engine does for the gateways of a cluster, about the shards it owns: called directly in the same process,
 * by messages otherwise. Every method is safe to repeat. An engine that does not own the shard answers `unavailable`.
 */
export interface NodeDoor {
  /**
   * The annotator is at this gateway. Takes the shards named if nobody owns them.
   *
   * @param rev grows with each message of the gateway about who is there: an earlier one that comes late is inert.
   */
  attach(args: {
    annotatorId: AnnotatorId;
    gateway: Address;
    rev: number;
    shardIds: readonly ShardId[];
  }): Promise<Result<SessionState>>;
  detach(args: { annotatorId: AnnotatorId; gateway: Address; rev: number }): Promise<Result<null>>;
  /** Everybody who is at this gateway and has to do with this engine. @returns the number of the last push to it. */
  present(args: {
    gateway: Address;
    rev: number;
    annotatorIds: readonly AnnotatorId[];
  }): Promise<Result<{ pushes: number }>>;
  state(annotatorId: AnnotatorId): Promise<Result<SessionState>>;
  request(args: NodeRequest): Promise<Result<RequestAnswer>>;
  stopWaiting(annotatorId: AnnotatorId): Promise<Result<null>>;
  accept(annotatorId: AnnotatorId, ref: AssignmentRef): Promise<Result<{ expiresInMs: number }>>;
  heartbeat(annotatorId: AnnotatorId, refs: readonly AssignmentRef[]): Promise<Result<Beat>>;
  draft(annotatorId: AnnotatorId, ref: AssignmentRef, draft: Json): Promise<Result<{ saved: true }>>;
  submit(args: NodeSubmit): Promise<Result<{ receipt: Receipt; next?: RequestAnswer }>>;
  giveBack(args: NodeGiveBack): Promise<Result<{ ended: true }>>;
  pause(annotatorId: AnnotatorId): Promise<Result<{ paused: true }>>;
  resume(annotatorId: AnnotatorId): Promise<Result<SessionState>>;
  control(command: ControlCommand): Promise<Result<Json>>;
}

export interface Beat {
  readonly alive: readonly { readonly ref: AssignmentRef; readonly expiresInMs: number }[];
  readonly ended: readonly AssignmentRef[];
}

/** The end of a lease by its holder, without an answer. */
export interface NodeGiveBack {
  readonly annotatorId: AnnotatorId;
  readonly ref: AssignmentRef;
  readonly how: 'skip' | 'release';
  /** Where it came in: the annotator's other gateways are told. */
  readonly gateway: Address;
  readonly reason?: string;
}

export interface NodeSubmit {
  readonly annotatorId: AnnotatorId;
  readonly ref: AssignmentRef;
  /** Where it came in: the annotator's other gateways are told. */
  readonly gateway: Address;
  readonly submissionId: string;
  readonly result: Json;
  /** Ask this engine for the next task in the same round trip. */
  readonly next?: Omit<NodeRequest, 'annotatorId' | 'requestId'>;
}

export type ProjectChange = 'settings' | 'paused' | 'resumed' | 'archived';

/** Commands on live work, as they travel. Those on a task or a lease go to the owner of its shard, others to all. */
export type ControlCommand =
  | {
      readonly kind: 'cancelTask' | 'requeueTask';
      readonly projectId: ProjectId;
      readonly taskId: TaskId;
      readonly actor: string;
    }
  | {
      readonly kind: 'setPriority' | 'setOverlap';
      readonly projectId: ProjectId;
      readonly taskId: TaskId;
      readonly value: number;
      readonly actor: string;
    }
  | { readonly kind: 'revoke'; readonly ref: AssignmentRef; readonly actor: string; readonly reason?: string }
  | { readonly kind: 'projectCreated'; readonly projectId: ProjectId }
  | {
      readonly kind: 'projectChanged';
      readonly projectId: ProjectId;
      readonly shardId: ShardId;
      readonly change: ProjectChange;
      readonly actor: string;
    }
  | { readonly kind: 'projectRead'; readonly projectId: ProjectId }
  | { readonly kind: 'annotatorChanged'; readonly annotatorId: AnnotatorId; readonly actor: string }
  | { readonly kind: 'tasksImported'; readonly projectId: ProjectId; readonly shardId: ShardId }
  | { readonly kind: 'live'; readonly projectId: ProjectId }
  | { readonly kind: 'adopt'; readonly shardId: ShardId; readonly projectId: ProjectId };
