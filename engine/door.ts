import type { Beat } from './cluster/node-door.ts';
import type { AnnotatorId, AssignmentRef, ProjectId, ShardId, TaskId } from './ids.ts';
import type { Result } from './refusals.ts';
import type { Json } from './settings.ts';

/** A lease as its holder sees it: durations, never clock times. */
export interface AssignmentView {
  readonly ref: AssignmentRef;
  readonly annotatorId: AnnotatorId;
  readonly project: string;
  readonly taskId: TaskId;
  readonly data: Json;
  readonly draft?: Json;
  /** `offered` waits for `accept`; `active` may be submitted. */
  readonly state: 'offered' | 'active';
  /** Until the lease (or the offer) ends unless it is renewed (or accepted). */
  readonly expiresInMs: number;
  /** Until it ends in any case. */
  readonly maxDurationMs: number;
  /** 1 for the first lease of this task's slot; one more for each that ended without an answer. */
  readonly attempt: number;
  /** Which of the places of the holder's capacity it fills. */
  readonly capacitySlot: number;
  readonly shardId: ShardId;
}

/** Why there is nothing now, over all the projects asked. Counts of tasks; they may overlap in time, not in kind. */
export interface WaitingReasons {
  readonly leased: number;
  readonly alreadyDone: number;
  readonly skill: number;
  readonly held: number;
  readonly pausedProjects: number;
  readonly unavailableProjects: number;
  /** Until the next lease can end, if any is open. */
  readonly nextExpiryMs: number | null;
}

export type RequestAnswer = { readonly assignment: AssignmentView } | { readonly waiting: WaitingReasons };

export interface SessionState {
  readonly assignments: readonly AssignmentView[];
  readonly waiting?: WaitingReasons;
  /** True after session:pause or a missed offer: nothing is pushed until session:resume or a request. */
  readonly paused: boolean;
}

/** What a submit yields. `late` says that the lease had ended when it came. */
export interface Receipt {
  readonly assignment: AssignmentRef;
  readonly submissionId: string;
  readonly status: 'counted' | 'surplus';
  readonly late: boolean;
}

export type EndReason =
  | 'offer_timeout'
  | 'max_duration'
  | 'heartbeat_silence'
  | 'disconnected'
  | 'skipped'
  | 'released'
  | 'revoked'
  | 'task_cancelled'
  | 'annotator_paused'
  | 'annotator_banned'
  | 'quarantined';

/** What the engine tells a connected annotator. Delivered after the commit, at most once: state is the truth. */
export type AnnotatorPush =
  | { readonly kind: 'assigned'; readonly assignment: AssignmentView }
  | { readonly kind: 'expiring'; readonly ref: AssignmentRef; readonly expiresInMs: number }
  | { readonly kind: 'revoked'; readonly ref: AssignmentRef; readonly reason: EndReason }
  /** Something that was said may have been lost on the way: read the state. */
  | { readonly kind: 'stale' };

/** Implemented by the gateway; called after commits, must not throw and must not block. */
export type PushSink = (annotatorId: AnnotatorId, push: AnnotatorPush) => void;

/** What labeling clients can do. Every method is safe to repeat with the same arguments. */
export interface WorkDoor {
  /** A socket of this annotator is there; refused when banned. Counts sockets, so call once per socket. */
  connect(annotatorId: AnnotatorId): Promise<Result<SessionState>>;
  /** A socket is gone. When it was the last, the reconnect grace of the annotator's leases starts. */
  disconnect(annotatorId: AnnotatorId): void;
  state(annotatorId: AnnotatorId): Promise<Result<SessionState>>;
  request(args: {
    annotatorId: AnnotatorId;
    requestId: string;
    /** Slugs; absent: every active project open to the annotator. */
    projects?: readonly string[];
  }): Promise<Result<RequestAnswer>>;
  accept(annotatorId: AnnotatorId, ref: AssignmentRef): Promise<Result<{ expiresInMs: number }>>;
  /** Extends the leases that are alive; says which are not. Writes no row. */
  heartbeat(annotatorId: AnnotatorId, refs: readonly AssignmentRef[]): Promise<Result<Beat>>;
  draft(annotatorId: AnnotatorId, ref: AssignmentRef, draft: Json): Promise<Result<{ saved: true }>>;
  submit(args: {
    annotatorId: AnnotatorId;
    ref: AssignmentRef;
    submissionId: string;
    result: Json;
    /** Ask for the next task in the same round trip; `requestId` is the submission id. */
    next: boolean;
    projects?: readonly string[];
  }): Promise<Result<{ receipt: Receipt; next?: RequestAnswer }>>;
  skip(annotatorId: AnnotatorId, ref: AssignmentRef, reason?: string): Promise<Result<{ ended: true }>>;
  release(annotatorId: AnnotatorId, ref: AssignmentRef): Promise<Result<{ ended: true }>>;
  /** Stop pushing to this annotator; leases stay. */
  pause(annotatorId: AnnotatorId): Promise<Result<{ paused: true }>>;
  resume(annotatorId: AnnotatorId): Promise<Result<SessionState>>;
}

/** Live commands on tasks and leases, through the shard. `actor` is who did it, for the history. */
export interface ControlDoor {
  cancelTask(projectId: ProjectId, taskId: TaskId, actor: string): Promise<Result<{ state: string }>>;
  /** A held or cancelled task waits again, attempts back at 0. */
  requeueTask(projectId: ProjectId, taskId: TaskId, actor: string): Promise<Result<{ state: string }>>;
  setPriority(
    projectId: ProjectId,
    taskId: TaskId,
    priority: number,
    actor: string,
  ): Promise<Result<{ priority: number }>>;
  setOverlap(
    projectId: ProjectId,
    taskId: TaskId,
    overlap: number,
    actor: string,
  ): Promise<Result<{ state: string }>>;
  revoke(ref: AssignmentRef, actor: string, reason?: string): Promise<Result<{ ended: true }>>;
  /** There is a new project: who waits for it, or for any, waits there too. */
  projectCreated(projectId: ProjectId): Promise<Result<{ seen: true }>>;
  /** The project's row changed (settings, status): read it again and act on it, at once. Recorded as a transition. */
  projectChanged(
    projectId: ProjectId,
    change: 'settings' | 'paused' | 'resumed' | 'archived',
    actor: string,
  ): Promise<Result<{ seen: true }>>;
  /** The annotator's row or memberships changed: read it again. A ban revokes open leases; a pause only stops new ones. */
  annotatorChanged(annotatorId: AnnotatorId, actor: string): Promise<Result<{ seen: true }>>;
  /** Imported chunks wait to be announced: count them, number them, and wake whoever waits. */
  tasksImported(projectId: ProjectId): Promise<Result<{ announced: number }>>;
  live(projectId: ProjectId): Promise<ProjectLive>;
}

/** The part of a project's statistics that lives in memory. */
export interface ProjectLive {
  readonly leased: number;
  readonly waitingAnnotators: number;
  readonly nextExpiryMs: number | null;
}

/** A shard's transitions were committed up to `seq`: followers of the feed may read on. */
export type FeedListener = (projectId: ProjectId, seq: number) => void;

export interface EngineStatus {
  readonly ready: boolean;
  readonly why?: string;
  readonly shards: number;
  readonly leases: number;
  readonly waiting: number;
  readonly commits: number;
  /** Live processes of the cluster, this one included. */
  readonly nodes: number;
  /** Whether the other nodes can be reached: `none` without a bus. */
  readonly bus: 'none' | 'up' | 'away';
  readonly eventLoopLagMs: number;
}

export interface Engine {
  readonly work: WorkDoor;
  readonly control: ControlDoor;
  onPush(sink: PushSink): () => void;
  onFeed(listener: FeedListener): () => void;
  status(): EngineStatus;
  start(): Promise<void>;
  /** Finishes what is in flight, hands its shards over, and stops. Safe to repeat. */
  stop(): Promise<void>;
}
