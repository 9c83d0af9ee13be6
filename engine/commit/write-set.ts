import type { AssignmentState, TaskState } from '../../machines/index.ts';
import type { AnnotatorId, AssignmentId, ProjectId, ShardId, TaskId } from '../ids.ts';
import type { JsonObject } from '../settings.ts';
import type { TaskEntry } from '../shard/task-entry.ts';
import type { TransitionName } from '../store/codes.ts';
import type {
  AnnotationInsert,
  AssignmentInsert,
  AssignmentUpdate,
  DraftWrite,
  ShardBatch,
  ShardCounters,
  TaskUpdate,
  TransitionWrite,
} from '../store/store.ts';

/** What became of a batch. `lost`: nothing of it may be told to anybody; the shard reloads. */
export type BatchResult = 'committed' | 'lost';

/** Transitions whose callers are answered in one turn. */
const SLICE_TRANSITIONS = 64;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Claim = Mutable<AssignmentUpdate> & { claims: boolean };

/**
 * What one shard wants written by the next commit.
 *
 * W1 Each row appears once, in the state it has when the batch is taken; transitions appear all, in order.
 * W2 `done` settles once, after the outcome is known; it never rejects.
 * W3 `after` runs only if the batch was committed, in the order it was added: nobody hears of what is not durable.
 * W4 Who waits for a large batch is answered in slices, one a turn of the event loop: the answers cause new work,
 *    and the first of it should be on its way to the database while the rest is still being answered.
 */
export class WriteSet {
  private slice = newSlice();
  private readonly slices = [this.slice];
  private readonly fromSeq: number;
  private seq: number;
  private readonly transitions: TransitionWrite[] = [];
  private readonly inserts = new Map<AssignmentId, Mutable<AssignmentInsert>>();
  private readonly updates = new Map<AssignmentId, Claim>();
  private readonly tasks = new Set<TaskEntry>();
  private readonly annotations: AnnotationInsert[] = [];
  private readonly drafts = new Map<string, DraftWrite>();
  private readonly chunks: number[] = [];
  private readonly counters: ShardCounters = emptyCounters();
  private readonly after: (() => void)[] = [];

  constructor(lastSeq: number) {
    this.fromSeq = lastSeq;
    this.seq = lastSeq;
  }

  /** Settles when what was written up to now is committed or lost. */
  get done(): Promise<BatchResult> {
    return this.slice.promise;
  }

  get lastSeq(): number {
    return this.seq;
  }

  get rows(): number {
    return this.transitions.length + this.drafts.size + this.updates.size;
  }

  transition(args: {
    event: TransitionName;
    taskId?: TaskId;
    assignmentId?: AssignmentId;
    annotatorId?: AnnotatorId;
    taskState?: TaskState;
    assignmentState?: AssignmentState;
    actor?: string;
    detail?: JsonObject;
  }): void {
    this.seq += 1;
    if (++this.slice.transitions > SLICE_TRANSITIONS) {
      this.slice = newSlice();
      this.slices.push(this.slice);
    }
    this.transitions.push({
      seq: this.seq,
      event: args.event,
      taskId: args.taskId ?? null,
      assignmentId: args.assignmentId ?? null,
      annotatorId: args.annotatorId ?? null,
      taskState: args.taskState ?? null,
      assignmentState: args.assignmentState ?? null,
      actor: args.actor ?? null,
      detail: args.detail ?? null,
    });
  }

  insertAssignment(row: AssignmentInsert): void {
    this.inserts.set(row.id, { ...row });
  }

  /** @param change `slot` set means that the row takes a slot again (a late answer). */
  updateAssignment(
    id: AssignmentId,
    change: Partial<Omit<AssignmentUpdate, 'id'>> & { state: AssignmentState },
  ): void {
    const insert = this.inserts.get(id);
    if (insert) {
      insert.state = change.state;
      if (change.endReason !== undefined) insert.endReason = change.endReason;
      return;
    }
    const update = this.updates.get(id) ?? {
      id,
      state: change.state,
      slot: null,
      deadlineInMs: null,
      endReason: null,
      claims: false,
    };
    update.state = change.state;
    if (change.slot !== undefined) {
      update.slot = change.slot;
      update.claims = change.slot !== null;
    }
    if (change.deadlineInMs !== undefined) update.deadlineInMs = change.deadlineInMs;
    if (change.endReason !== undefined) update.endReason = change.endReason;
    this.updates.set(id, update);
  }

  task(task: TaskEntry): void {
    if (this.tasks.has(task)) return;
    this.tasks.add(task);
    task.pendingWrites += 1;
  }

  annotation(row: AnnotationInsert): void {
    this.annotations.push(row);
  }

  draft(row: DraftWrite): void {
    this.drafts.set(`${row.taskId}:${row.annotatorId}`, row);
  }

  announce(chunkId: number): void {
    this.chunks.push(chunkId);
  }

  count(name: keyof ShardCounters, by: number): void {
    this.counters[name] += by;
  }

  onCommitted(run: () => void): void {
    this.after.push(run);
  }

  toBatch(shard: { shardId: ShardId; projectId: ProjectId; epoch: number }): ShardBatch {
    const updates = [...this.updates.values()];
    return {
      ...shard,
      fromSeq: this.fromSeq,
      toSeq: this.seq,
      counters: this.counters,
      transitions: this.transitions,
      assignmentInserts: [...this.inserts.values()],
      assignmentReleases: updates.filter((u) => !u.claims),
      assignmentClaims: updates.filter((u) => u.claims),
      tasks: Array.from(this.tasks, toTaskUpdate),
      annotations: this.annotations,
      drafts: [...this.drafts.values()],
      announcedChunks: this.chunks,
    };
  }

  /** The tasks this batch carries, to be told that one write fewer is pending. */
  carriedTasks(): Iterable<TaskEntry> {
    return this.tasks;
  }

  /** @param defer runs its argument in a later turn of the event loop. */
  settle(result: BatchResult, defer: (run: () => void) => void): void {
    if (result === 'committed') for (const run of this.after) run();
    const answer = (index: number) => {
      this.slices[index]?.resolve(result);
      if (index + 1 < this.slices.length) defer(() => answer(index + 1));
    };
    answer(0);
  }
}

interface Slice {
  transitions: number;
  readonly promise: Promise<BatchResult>;
  readonly resolve: (result: BatchResult) => void;
}

function newSlice(): Slice {
  let resolve: (result: BatchResult) => void = () => {
    throw new Error('settled before it was made');
  };
  const promise = new Promise<BatchResult>((settle) => {
    resolve = settle;
  });
  return { transitions: 0, promise, resolve };
}

export function emptyCounters(): ShardCounters {
  return {
    tasks: 0,
    waiting: 0,
    held: 0,
    complete: 0,
    cancelled: 0,
    submitted: 0,
    surplus: 0,
    skipped: 0,
    expired: 0,
    abandoned: 0,
  };
}

function toTaskUpdate(task: TaskEntry): TaskUpdate {
  const { state, context } = task.snapshot;
  return {
    id: task.id,
    state,
    overlap: context.overlap,
    filled: context.filled,
    filledSlots: task.filledSlots,
    attempts: context.attempts,
    condition: context.condition,
    holdDetail: task.holdDetail,
    priority: task.priority,
    queuePriority: task.queuePriority,
    had: task.had,
    requeued: task.requeued,
  };
}
