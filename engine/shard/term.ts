import type { AssignmentState } from '../../machines/index.ts';
import type { Timer } from '../clock.ts';
import type { CommitSource, Taken } from '../commit/committer.ts';
import { type BatchResult, WriteSet } from '../commit/write-set.ts';
import type { EngineContext } from '../context.ts';
import type { Receipt } from '../door.ts';
import type { AnnotatorId, AssignmentId, ProjectId, ShardId, TaskId } from '../ids.ts';
import { Deadlines } from '../queue/deadlines.ts';
import { ReadyQueue } from '../queue/ready-queue.ts';
import { Recent } from '../recent.ts';
import { compileResultSchema, type ResultSchema } from '../result-schema.ts';
import type { ProjectRow, ShardCounters, TaskRow } from '../store/store.ts';
import type { Lease } from './lease.ts';
import type { TaskEntry } from './task-entry.ts';

/** An assignment that ended in this term: a repeat of the message that ended it gets the same answer. */
export interface Ended {
  readonly annotatorId: AnnotatorId;
  readonly state: AssignmentState;
  readonly receipt: Receipt | undefined;
  /** The answer may be given only when this is done. */
  readonly saved: Promise<BatchResult>;
}

/** What the term needs from the actor around it. */
export interface TermHost {
  /**
   * Memory and database may differ: the actor drops this term and loads a new one.
   *
   * @param clashingTask the task they are known to differ in.
   */
  termLost(term: Term, clashingTask?: TaskId): void;
  /** Leases are due; looks at those and only those. */
  leasesDue(term: Term): void;
  /** Makes an entry of a row that was read, and enters it in `term.tasks`. */
  adopt(term: Term, row: TaskRow): TaskEntry;
}

/**
 * What a node holds of a shard during one term of ownership, that is, under one epoch. One writer, in memory;
 * everything it changes goes into the next batch of the group commit.
 *
 * T1 A term that is not alive changes nothing and tells nobody anything.
 * T2 Nobody is answered before the batch that carries their change is committed.
 * T3 On any doubt about a batch the whole term is dropped: memory is rebuilt from the database, never patched.
 */
export class Term implements CommitSource {
  readonly tasks = new Map<TaskId, TaskEntry>();
  readonly leases = new Map<AssignmentId, Lease>();
  readonly ended: Recent<AssignmentId, Ended>;
  /** Import chunks counted in this term: a read that began before their commit may show them once more. */
  readonly announced = new Set<number>();
  readonly deadlines = new Deadlines<Lease>();
  readonly queue: ReadyQueue;
  readonly shardId: ShardId;
  readonly projectId: ProjectId;
  readonly epoch: number;
  readonly context: EngineContext;
  readonly counters: ShardCounters;
  project: ProjectRow;
  alive = true;
  private readonly host: TermHost;
  private writes: WriteSet;
  private lastTaken: Promise<BatchResult> = Promise.resolve('committed');
  private timer: Timer | undefined;
  private timerDueMs = Number.POSITIVE_INFINITY;
  private resultSchema: ResultSchema | null | undefined;

  constructor(args: {
    context: EngineContext;
    host: TermHost;
    shardId: ShardId;
    epoch: number;
    lastSeq: number;
    project: ProjectRow;
    counters: ShardCounters;
  }) {
    this.context = args.context;
    this.host = args.host;
    this.shardId = args.shardId;
    this.projectId = args.project.id;
    this.epoch = args.epoch;
    this.project = args.project;
    this.counters = args.counters;
    this.writes = new WriteSet(args.lastSeq);
    this.ended = new Recent(args.context.limits.recentMax);
    this.queue = new ReadyQueue({
      store: args.context.store,
      limits: args.context.limits,
      shardId: args.shardId,
      projectId: args.project.id,
      tasks: this.tasks,
      adopt: (row) => args.host.adopt(this, row),
      startedFirst: () => this.project.settings.startedFirst,
      onReadError: (error) => args.context.incident({ kind: 'read_failed', error, shardId: args.shardId }),
    });
  }

  /** The batch being filled; asking for it makes sure that it will be committed. */
  write(): WriteSet {
    if (!this.alive) throw new Error('a term that is over was written to');
    this.context.committer.add(this);
    return this.writes;
  }

  /** Settles when everything written so far is committed or lost. */
  saved(): Promise<BatchResult> {
    if (!this.alive) return Promise.resolve('lost');
    return this.writes.rows > 0 ? this.writes.done : this.lastTaken;
  }

  count(name: keyof ShardCounters, by: number): void {
    this.counters[name] += by;
    this.writes.count(name, by);
  }

  takeBatch(): Taken | undefined {
    if (!this.alive || this.writes.rows === 0) return undefined;
    const writes = this.writes;
    this.writes = new WriteSet(writes.lastSeq);
    this.lastTaken = writes.done;
    const batch = writes.toBatch({ shardId: this.shardId, projectId: this.projectId, epoch: this.epoch });
    return { batch, settle: (result, clash) => this.settle(writes, result, clash) };
  }

  remember(id: AssignmentId, ended: Ended): void {
    this.ended.set(id, ended);
  }

  settingsChanged(project: ProjectRow): void {
    this.project = project;
    this.resultSchema = undefined;
  }

  /** Compiled once per version of the settings. */
  schema(): ResultSchema | null {
    if (this.resultSchema === undefined) {
      const { resultSchema } = this.project.settings;
      this.resultSchema = resultSchema === null ? null : compileResultSchema(resultSchema);
    }
    return this.resultSchema;
  }

  /** Looks at the lease again at this moment. */
  schedule(lease: Lease, atMs: number): void {
    this.deadlines.set(lease, atMs);
    this.arm();
  }

  /** Sets the timer for the earliest deadline. */
  arm(): void {
    const next = this.deadlines.peek();
    if (!next || !this.alive || next.dueMs >= this.timerDueMs) return;
    this.timer?.cancel();
    this.timerDueMs = next.dueMs;
    this.timer = this.context.clock.setTimer(next.dueMs - this.context.clock.nowMs(), () => {
      this.timerDueMs = Number.POSITIVE_INFINITY;
      if (this.alive) this.host.leasesDue(this);
    });
  }

  /** Ends the term: leases stay on disk, their deadlines are taken up by the next one. */
  end(): void {
    if (!this.alive) return;
    this.alive = false;
    this.timer?.cancel();
    for (const lease of this.leases.values()) {
      const member = this.context.roster.peek(lease.annotatorId);
      member?.leases.delete(lease.id);
    }
    this.writes.settle('lost', this.context.clock.defer);
  }

  private settle(writes: WriteSet, result: BatchResult, clashingTask: TaskId | undefined): void {
    if (result === 'committed' && this.alive) {
      for (const task of writes.carriedTasks()) {
        task.pendingWrites -= 1;
        this.queue.settle(task);
      }
    }
    writes.settle(result, this.context.clock.defer);
    if (result === 'lost') this.host.termLost(this, clashingTask);
    else this.context.feed(this.projectId, writes.lastSeq);
  }
}
