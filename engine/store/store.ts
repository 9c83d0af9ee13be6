import type { AssignmentState, HoldCondition, TaskState } from '../../machines/index.ts';
import type {
  AnnotatorId,
  AssignmentId,
  AssignmentRef,
  Incarnation,
  ProjectId,
  ShardId,
  TaskId,
} from '../ids.ts';
import type { QueueKey } from '../queue/key.ts';
import type { Json, JsonObject, ProjectSettings, Requirement } from '../settings.ts';
import type { TransitionName } from './codes.ts';

/** A project as the engine needs it. */
export interface ProjectRow {
  readonly id: ProjectId;
  readonly slug: string;
  readonly status: 'active' | 'paused' | 'archived';
  readonly settings: ProjectSettings;
  /** Its shards, by part: at least one. */
  readonly shardIds: readonly ShardId[];
}

export interface AnnotatorRow {
  readonly id: AnnotatorId;
  readonly status: 'active' | 'paused' | 'banned';
  readonly capacity: number;
  readonly skills: Readonly<Record<string, number>>;
  readonly memberOf: readonly ProjectId[];
}

export interface TaskRow extends QueueKey {
  readonly id: TaskId;
  readonly state: TaskState;
  readonly machineVersion: number;
  readonly overlap: number;
  readonly filled: number;
  readonly filledSlots: readonly number[];
  readonly attempts: number;
  readonly condition: HoldCondition | null;
  readonly priority: number;
  readonly had: readonly AnnotatorId[];
  readonly requirements: readonly Requirement[] | null;
  /** Its attempts have begun at 0 again: who had it before may have left a draft. */
  readonly requeued: boolean;
}

export interface OpenAssignmentRow {
  readonly id: AssignmentId;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly slot: number;
  readonly capacitySlot: number;
  readonly attempt: number;
  readonly state: 'offered' | 'active';
  readonly machineVersion: number;
  readonly requestId: string | null;
  /** How long the lease has run, by the database's clock. */
  readonly ageMs: number;
}

/** An assignment as it lies on disk, with what was submitted under it. */
export interface AssignmentRow {
  readonly ref: AssignmentRef;
  /** Where its task is now. */
  readonly shardId: ShardId;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly slot: number;
  readonly state: AssignmentState;
  readonly machineVersion: number;
  readonly ageMs: number;
  readonly submission: { readonly id: string; readonly counted: boolean; readonly late: boolean } | null;
}

export interface ShardCounters {
  tasks: number;
  waiting: number;
  held: number;
  complete: number;
  cancelled: number;
  submitted: number;
  surplus: number;
  skipped: number;
  expired: number;
  abandoned: number;
}

export interface ShardImage {
  readonly project: ProjectRow;
  readonly counters: ShardCounters;
  readonly open: readonly OpenAssignmentRow[];
  /** The tasks of the open assignments. */
  readonly tasks: readonly TaskRow[];
}

export interface ImportChunk {
  readonly id: number;
  readonly created: number;
  readonly actor: string;
  /** The part of the project that the tasks were moved from; null: they are new. */
  readonly movedFrom: number | null;
}

/** One numbered step of a shard's history. Detail never holds task data, results or names (I9). */
export interface TransitionWrite {
  readonly seq: number;
  readonly event: TransitionName;
  readonly taskId: TaskId | null;
  readonly assignmentId: AssignmentId | null;
  readonly annotatorId: AnnotatorId | null;
  readonly taskState: TaskState | null;
  readonly assignmentState: AssignmentState | null;
  readonly actor: string | null;
  readonly detail: JsonObject | null;
}

export interface AssignmentInsert {
  readonly id: AssignmentId;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly slot: number;
  readonly capacitySlot: number;
  readonly attempt: number;
  readonly requestId: string | null;
  /** The state at the end of the batch: a lease may be taken and given back within one. */
  readonly state: AssignmentState;
  readonly deadlineInMs: number;
  readonly endReason: string | null;
}

/** A change of an assignment that an earlier commit wrote. */
export interface AssignmentUpdate {
  readonly id: AssignmentId;
  readonly state: AssignmentState;
  /** Set by a late answer that takes a free slot. */
  readonly slot: number | null;
  /** A new deadline, from now, for the reader's eye; null leaves it. */
  readonly deadlineInMs: number | null;
  readonly endReason: string | null;
}

export interface TaskUpdate {
  readonly id: TaskId;
  readonly state: TaskState;
  readonly overlap: number;
  readonly filled: number;
  readonly filledSlots: readonly number[];
  readonly attempts: number;
  readonly condition: HoldCondition | null;
  readonly holdDetail: string | null;
  readonly priority: number;
  readonly queuePriority: number;
  readonly had: readonly AnnotatorId[];
  readonly requeued: boolean;
}

export interface AnnotationInsert {
  readonly assignmentId: AssignmentId;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly counted: boolean;
  readonly late: boolean;
  readonly submissionId: string;
  readonly resultText: string;
  readonly leadTimeMs: number;
}

export interface DraftWrite {
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly assignmentId: AssignmentId;
  /** null deletes it (the answer was submitted). */
  readonly draftText: string | null;
}

/** A process of the cluster that renewed its row within a term, by the database's clock. */
export interface NodeRow {
  readonly incarnation: Incarnation;
  readonly name: string;
  readonly version: string;
  /** Where the bus finds it; empty: nowhere. */
  readonly address: string;
  readonly roles: readonly NodeRole[];
}

export type NodeRole = 'gateway' | 'engine';

/** Who owned a shard when this was read. `move` grows with every change of owner, over all shards. */
export interface ShardOwner {
  readonly shardId: ShardId;
  readonly projectId: ProjectId;
  readonly owner: Incarnation | null;
  readonly move: number;
  /** Tasks lie there that its owner has not announced. */
  readonly hasNews: boolean;
}

/** An open lease as somebody sees it who must find its shard. */
export interface HeldLease {
  readonly annotatorId: AnnotatorId;
  readonly ref: AssignmentRef;
  readonly shardId: ShardId;
  readonly capacitySlot: number;
  readonly requestId: string | null;
}

/** Everything one shard writes in one commit. Within a batch each row appears once, in its final state. */
export interface ShardBatch {
  readonly shardId: ShardId;
  readonly projectId: ProjectId;
  readonly epoch: number;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly counters: ShardCounters;
  readonly transitions: readonly TransitionWrite[];
  readonly assignmentInserts: readonly AssignmentInsert[];
  /** Those that free a slot or a place of capacity, or change neither: written before the inserts. */
  readonly assignmentReleases: readonly AssignmentUpdate[];
  /** Those that take a slot: written after the releases. */
  readonly assignmentClaims: readonly AssignmentUpdate[];
  readonly tasks: readonly TaskUpdate[];
  readonly annotations: readonly AnnotationInsert[];
  readonly drafts: readonly DraftWrite[];
  readonly announcedChunks: readonly number[];
}

/**
 * committed: all of it is durable. fenced: these shards are no longer this incarnation's, nothing was written.
 * over_capacity: another node leased something to this annotator that this one did not know of, in the same place of
 * capacity or for the same request; nothing was written.
 * failed: nothing was written; if a row of a task was refused because another is there already, the task.
 * unknown: COMMIT was sent and the answer lost; ask `readBack`.
 */
export type CommitOutcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'fenced'; readonly shardIds: readonly ShardId[] }
  | { readonly kind: 'over_capacity'; readonly annotatorId: AnnotatorId }
  | { readonly kind: 'failed'; readonly error: Error; readonly clashingTask?: TaskId }
  | { readonly kind: 'unknown'; readonly error: Error };

export interface DraftKey {
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
}

/** The engine's door to the database. Every method may throw when the database is away. */
export interface Store {
  joinNode(args: {
    name: string;
    version: string;
    address: string;
    roles: readonly NodeRole[];
  }): Promise<Incarnation>;
  /** @returns false when the row is gone, or was not renewed for a term: this incarnation is dead, whatever it thinks. */
  renewNode(incarnation: Incarnation, termMs: number): Promise<boolean>;
  /** Hands every shard over and ends the incarnation. */
  leaveNode(incarnation: Incarnation): Promise<void>;
  /** Every process that renewed its row within the term, the oldest first. */
  liveNodes(termMs: number): Promise<NodeRow[]>;
  /** Gives one shard back, if it is still this incarnation's: anybody may take it at once. */
  releaseShard(shardId: ShardId, incarnation: Incarnation): Promise<void>;
  /** @returns shards with news, and those whose owner changed after this move (0: all), of projects that are not archived. */
  shardOwners(afterMove: number): Promise<ShardOwner[]>;
  /** @returns the new epoch and the last number, or undefined while a live node owns the shard. */
  takeShard(
    shardId: ShardId,
    incarnation: Incarnation,
    termMs: number,
  ): Promise<{ epoch: number; lastSeq: number } | undefined>;
  shardsWithOpenLeases(): Promise<{ shardId: ShardId; projectId: ProjectId }[]>;

  listProjects(): Promise<ProjectRow[]>;
  readProject(projectId: ProjectId): Promise<ProjectRow | undefined>;
  readAnnotators(ids: readonly AnnotatorId[]): Promise<AnnotatorRow[]>;
  loadShard(shardId: ShardId): Promise<ShardImage | undefined>;
  readReady(args: {
    projectId: ProjectId;
    shardId: ShardId;
    started: boolean;
    after: QueueKey;
    limit: number;
    /** Leave out tasks this annotator has had. */
    notHadBy?: AnnotatorId;
  }): Promise<TaskRow[]>;
  /** @returns undefined for a task of another shard, too: that one alone may write it. */
  readTask(args: { projectId: ProjectId; shardId: ShardId; taskId: TaskId }): Promise<TaskRow | undefined>;
  /** @returns the shard a task belongs to. */
  shardOfTask(projectId: ProjectId, taskId: TaskId): Promise<ShardId | undefined>;
  /** What these annotators hold, in whatever shard. */
  openLeasesOf(annotatorIds: readonly AnnotatorId[]): Promise<HeldLease[]>;
  readAssignment(ref: AssignmentRef): Promise<AssignmentRow | undefined>;
  /** @returns the data of each as JSON text: whoever parses it knows its size. */
  readPayloads(taskIds: readonly TaskId[]): Promise<Map<TaskId, string>>;
  /** @returns for each, in order, the draft that this annotator has of this task. */
  readDrafts(of: readonly DraftKey[]): Promise<(Json | undefined)[]>;
  unannouncedChunks(shardId: ShardId): Promise<ImportChunk[]>;
  /** @returns the first id of a block that is this caller's alone. */
  allocateAssignmentIds(): Promise<{ first: number; count: number }>;

  /**
   * @param passed called when every batch has passed its fence and holds its shard's lock: another commit may be
   *   sent, and waits for this one.
   */
  commit(
    incarnation: Incarnation,
    batches: readonly ShardBatch[],
    passed: () => void,
  ): Promise<CommitOutcome>;
  /** After an unknown outcome: waits for whatever is still running, then tells each shard's last number and epoch. */
  readBack(shardIds: readonly ShardId[]): Promise<Map<ShardId, { epoch: number; lastSeq: number }>>;
}
