import type { AnnotatorId, ProjectId, ShardId, TaskId } from '../ids.ts';
import type { Limits } from '../limits.ts';
import { isReady, isStarted, type TaskEntry } from '../shard/task-entry.ts';
import type { Store, TaskRow } from '../store/store.ts';
import { HIGHEST_KEY, LOWEST_KEY, type QueueKey } from './key.ts';
import { Lane } from './lane.ts';

type ReadyRows = { readonly readReady: Store['readReady'] };

export type Pick =
  | { readonly kind: 'task'; readonly task: TaskEntry }
  /** A lane must be read from disk before anything can be said; call `read` and pick again. */
  | { readonly kind: 'read'; readonly started: boolean }
  | { readonly kind: 'none' };

/**
 * The ready queue of one shard: two lanes, fresh tasks and started ones, over the tasks in memory.
 *
 * Q1 Memory is the truth for every task in `tasks`; a row read from disk is used only for the others.
 * Q2 While a read is in flight no task leaves memory: the read may have seen it as it was before its last commit.
 * Q3 A task leaves memory only when it has no lease and no write pending, and then the lanes can find it again.
 */
export class ReadyQueue {
  private readonly fresh = new Lane<TaskEntry>();
  private readonly started = new Lane<TaskEntry>();
  private readonly resting = new Set<TaskEntry>();
  private readonly refills = new Map<Lane<TaskEntry>, Promise<void>>();
  private readsInFlight = 0;
  /** Moves when a frontier moves back: a read that began before must not move it forward. */
  private version = 0;
  /** Tasks that have leases and no free slot. */
  occupied = 0;

  private readonly args: {
    readonly store: ReadyRows;
    readonly limits: Limits;
    readonly shardId: ShardId;
    readonly projectId: ProjectId;
    readonly tasks: Map<TaskId, TaskEntry>;
    /** Makes an entry of a row; a row that cannot be understood is quarantined there and comes back not ready. */
    readonly adopt: (row: TaskRow) => TaskEntry;
    readonly startedFirst: () => boolean;
    readonly onReadError: (error: unknown) => void;
  };

  constructor(args: ReadyQueue['args']) {
    this.args = args;
  }

  /** Puts the task where its state says. `returned`: a slot came back, so whoever passed it must look again. */
  place(task: TaskEntry, returned: boolean): void {
    const ready = isReady(task);
    const started = isStarted(task);
    const occupied = !ready && task.snapshot.state === 'waiting' && task.leases.size > 0;
    if (occupied !== task.occupied) {
      this.occupied += occupied ? 1 : -1;
      task.occupied = occupied;
    }
    if (task.inLane && (!ready || task.inStartedLane !== started)) this.lane(task.inStartedLane).remove(task);
    if (!ready || (task.inLane && !returned)) return;
    task.inStartedLane = started;
    const lane = this.lane(started);
    lane.insert(task);
    if (lane.size > Math.max(lane.trimAt, this.args.limits.windowRowsMax)) this.trim(lane);
  }

  /** The task's priority changed: out of its place before, back in after. */
  moved(task: TaskEntry, change: () => void): void {
    if (task.inLane) this.lane(task.inStartedLane).remove(task);
    change();
    this.place(task, true);
  }

  pick(annotatorId: AnnotatorId, suits: (task: TaskEntry) => boolean): Pick {
    const startedFirst = this.args.startedFirst();
    const preferred = this.lane(startedFirst);
    const other = this.lane(!startedFirst);
    const first = preferred.find(annotatorId, suits);
    // With one priority in use the preferred lane decides; the other lane is only asked when it could win.
    if (!first && !preferred.isSpent(annotatorId)) {
      const second = other.find(annotatorId, suits);
      const nextOnDisk = preferred.deepKeyOf(annotatorId);
      if (!second || nextOnDisk.queuePriority <= second.queuePriority)
        return { kind: 'read', started: startedFirst };
      return found(second, this);
    }
    const second = other.find(annotatorId, suits);
    if (first && (!second || first.queuePriority <= second.queuePriority)) {
      const mayWin = !second && !other.isSpent(annotatorId);
      if (!mayWin || other.deepKeyOf(annotatorId).queuePriority >= first.queuePriority)
        return found(first, this);
      return { kind: 'read', started: !startedFirst };
    }
    if (second) return found(second, this);
    return other.isSpent(annotatorId) ? { kind: 'none' } : { kind: 'read', started: !startedFirst };
  }

  /** Reads on where the pick came to the end of what is in memory. @throws when the database is away. */
  async read(started: boolean, annotatorId: AnnotatorId, suits: (task: TaskEntry) => boolean): Promise<void> {
    const lane = this.lane(started);
    if (!lane.exhausted && lane.size < this.args.limits.windowRows) return this.refill(started);
    await this.readDeep(started, annotatorId, suits);
  }

  /** Starts a refill in the background when a window runs low, so that no request waits for one. */
  keepFilled(): void {
    for (const started of [false, true]) {
      const lane = this.lane(started);
      if (lane.exhausted || lane.size > this.args.limits.windowRows / 4 || this.refills.has(lane)) continue;
      this.refill(started).catch(this.args.onReadError);
    }
  }

  /** Called when a lease ended or a write was committed: lets the task go if nothing keeps it. */
  settle(task: TaskEntry): void {
    if (task.leases.size > 0 || task.pendingWrites > 0) return;
    if (this.readsInFlight > 0) {
      this.resting.add(task);
      return;
    }
    if (!isReady(task)) {
      this.args.tasks.delete(task.id);
      return;
    }
    if (task.inLane) return;
    const lane = this.lane(isStarted(task));
    if (lane.covers(task)) this.place(task, true);
    else this.letGo(lane, task);
  }

  /** New tasks are on disk. `inOrder`: they lie behind all earlier ones; otherwise the lane is read anew. */
  imported(inOrder: boolean): void {
    // What a read that is under way brings back was true before: it may have come to the end too early.
    this.version += 1;
    if (inOrder || this.fresh.frontier === LOWEST_KEY) {
      this.fresh.exhausted = false;
      this.fresh.resetDeep();
      return;
    }
    for (const task of this.fresh.reset()) this.settle(task);
    for (const task of this.args.tasks.values())
      if (isReady(task) && !isStarted(task)) this.place(task, false);
  }

  /** Reads a task from disk and enters it. None leaves memory meanwhile: what was read could be older than it (Q2). */
  async reading<Row, T>(read: () => Promise<Row>, enter: (row: Row) => T): Promise<T> {
    this.readsInFlight += 1;
    try {
      return enter(await read());
    } finally {
      this.readDone();
    }
  }

  forgetPositions(annotatorId: AnnotatorId): void {
    this.fresh.forgetPosition(annotatorId);
    this.started.forgetPosition(annotatorId);
  }

  /** Ready tasks in memory, in no order: bounded by the windows. */
  *inMemory(): Iterable<TaskEntry> {
    yield* this.fresh;
    yield* this.started;
  }

  private lane(started: boolean): Lane<TaskEntry> {
    return started ? this.started : this.fresh;
  }

  private refill(started: boolean): Promise<void> {
    const lane = this.lane(started);
    let refill = this.refills.get(lane);
    if (!refill) {
      refill = this.readShared(lane, started).finally(() => this.refills.delete(lane));
      this.refills.set(lane, refill);
    }
    return refill;
  }

  private async readShared(lane: Lane<TaskEntry>, started: boolean): Promise<void> {
    const version = this.version;
    const limit = this.args.limits.windowRows;
    const rows = await this.readRows({ started, after: lane.frontier, limit });
    if (version === this.version) {
      for (const row of rows) {
        if (!this.args.tasks.has(row.id)) this.place(this.args.adopt(row), true);
      }
    }
    // Putting the rows in may have filled the window beyond its limit, and moved the frontier back.
    if (version === this.version) {
      const last = rows.at(-1);
      if (last) lane.frontier = { queuePriority: last.queuePriority, queueRank: last.queueRank };
      if (rows.length < limit) lane.exhausted = true;
    }
    this.readDone();
  }

  private async readDeep(
    started: boolean,
    annotatorId: AnnotatorId,
    suits: (task: TaskEntry) => boolean,
  ): Promise<void> {
    const lane = this.lane(started);
    const limit = this.args.limits.deepRows;
    const version = this.version;
    const rows = await this.readRows({
      started,
      after: lane.deepKeyOf(annotatorId),
      limit,
      notHadBy: annotatorId,
    });
    if (version === this.version) {
      const last = rows.at(-1);
      const end = rows.length < limit || !last;
      lane.advanceDeep(
        annotatorId,
        end ? HIGHEST_KEY : { queuePriority: last.queuePriority, queueRank: last.queueRank },
      );
      for (const row of rows) {
        if (this.args.tasks.has(row.id)) continue;
        const task = this.args.adopt(row);
        if (suits(task)) this.place(task, true);
        else this.settle(task);
      }
    }
    this.readDone();
  }

  /** @returns the rows; the caller says `readDone` when it has entered them. */
  private async readRows(query: {
    started: boolean;
    after: QueueKey;
    limit: number;
    notHadBy?: AnnotatorId;
  }): Promise<TaskRow[]> {
    this.readsInFlight += 1;
    try {
      return await this.args.store.readReady({
        projectId: this.args.projectId,
        shardId: this.args.shardId,
        ...query,
      });
    } catch (error) {
      this.readDone();
      throw error;
    }
  }

  private readDone(): void {
    this.readsInFlight -= 1;
    if (this.readsInFlight > 0) return;
    const resting = [...this.resting];
    this.resting.clear();
    for (const task of resting) this.settle(task);
  }

  /** A task with a lease stays in memory in any case, and no read would bring it back into the lane: it stays there too. */
  private trim(lane: Lane<TaskEntry>): void {
    this.version += 1;
    const rows = Math.floor(this.args.limits.windowRowsMax / 2);
    const cut = lane.trim(rows, (task) => task.leases.size === 0);
    lane.trimAt = lane.size + rows;
    for (const task of cut) this.settle(task);
  }

  private letGo(lane: Lane<TaskEntry>, task: TaskEntry): void {
    lane.forgotten(task, (annotatorId) => !task.had.includes(annotatorId));
    this.args.tasks.delete(task.id);
  }
}

function found(task: TaskEntry, queue: ReadyQueue): Pick {
  queue.keepFilled();
  return { kind: 'task', task };
}
