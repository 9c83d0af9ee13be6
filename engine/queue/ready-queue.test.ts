import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stepTask, type TaskEvent } from '../../machines/index.ts';
import {
  type AnnotatorId,
  type AssignmentId,
  asId,
  type ProjectId,
  type ShardId,
  type TaskId,
} from '../ids.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { Lease } from '../shard/lease.ts';
import { holdsLease, isReady, newTaskEntry, type TaskEntry } from '../shard/task-entry.ts';
import type { TaskRow } from '../store/store.ts';
import { compareKeys } from './key.ts';
import { ReadyQueue } from './ready-queue.ts';

const PEOPLE = 3;
/** More reads than one search may ever need here; an endless one must not hang the test. */
const READS_MAX = 400;

/**
 * A shard without machines, commits and clocks: a disk that answers when the script says so, the tasks in memory, and
 * a queue over both. `eligible` is the naive answer to what the queue has to find.
 */
class World {
  readonly tasks = new Map<TaskId, TaskEntry>();
  readonly disk = new Map<TaskId, TaskRow>();
  readonly problems: string[] = [];
  given = 0;
  private readonly announced = new Set<TaskId>();
  private readonly dirty = new Set<TaskEntry>();
  private committing: { task: TaskEntry; row: TaskRow }[] = [];
  private readonly reads: (() => void)[] = [];
  private nextTask = 1;
  private nextLease = 1;
  private readonly asking: Promise<void>[] = [];
  private readonly queue: ReadyQueue;
  private readonly isSequential: boolean;
  private isImmediate = false;

  constructor(settings: { startedFirst: boolean; isSequential: boolean }) {
    this.isSequential = settings.isSequential;
    this.queue = new ReadyQueue({
      store: { readReady: (query) => this.read(query) },
      limits: { ...DEFAULT_LIMITS, windowRows: 4, windowRowsMax: 8, deepRows: 3 },
      shardId: asId<ShardId>(1),
      projectId: asId<ProjectId>(1),
      tasks: this.tasks,
      adopt: (row) => {
        // What is not in memory is as the disk has it now, not as it was when the read began (Q2).
        if (this.disk.get(row.id) !== row) this.problems.push(`task ${row.id} was entered as it was before`);
        const task = newTaskEntry(row, 0, 100);
        this.tasks.set(task.id, task);
        this.queue.place(task, false);
        return task;
      },
      startedFirst: () => settings.startedFirst,
      onReadError: (error) => this.problems.push(String(error)),
    });
  }

  import(priorities: readonly number[], overlap: number, isAnnouncedNow: boolean): void {
    for (const priority of priorities) {
      const id = asId<TaskId>(this.nextTask++);
      const queuePriority = this.isSequential ? 0 : -priority;
      this.disk.set(id, newRow(id, overlap, queuePriority));
    }
    if (isAnnouncedNow) this.announce();
  }

  announce(): void {
    for (const id of this.disk.keys()) this.announced.add(id);
    this.queue.imported(this.isSequential);
  }

  /** Asks as the engine does. Told "nothing", the annotator must not have been able to get anything at that moment. */
  ask(annotatorId: AnnotatorId): void {
    this.asking.push(this.search(annotatorId));
  }

  end(index: number, how: 'submit' | 'skip' | 'release'): void {
    const leases = [...this.tasks.values()].flatMap((task) => [...task.leases.values()]);
    const lease = leases[index % Math.max(1, leases.length)];
    if (!lease) return;
    const { task } = lease;
    task.leases.delete(lease.id);
    if (how !== 'release') task.had = [...task.had, lease.annotatorId];
    if (how === 'submit') task.filledSlots = [...task.filledSlots, lease.slot];
    step(task, how === 'submit' ? { type: 'FILL' } : { type: 'FREE', countsAttempt: false });
    this.write(task);
    this.queue.place(task, how !== 'submit');
  }

  reprioritize(index: number, priority: number): void {
    const task = [...this.tasks.values()][index % Math.max(1, this.tasks.size)];
    if (!task || this.isSequential) return;
    this.queue.moved(task, () => {
      task.queuePriority = -priority;
    });
    this.write(task);
    this.queue.settle(task);
  }

  /** Takes what is dirty into a commit, or completes the one that is under way. */
  commit(): void {
    if (this.committing.length === 0) {
      this.committing = [...this.dirty].map((task) => ({ task, row: rowOf(task) }));
      this.dirty.clear();
      return;
    }
    const done = this.committing;
    this.committing = [];
    for (const { task, row } of done) {
      this.disk.set(task.id, row);
      task.pendingWrites -= 1;
      this.queue.settle(task);
    }
  }

  async deliver(index: number): Promise<void> {
    const [go] = this.reads.splice(index % Math.max(1, this.reads.length), 1);
    go?.();
    await turns();
  }

  /** Everything that is under way comes to its end; then everybody is asked once more. */
  async finish(): Promise<void> {
    this.isImmediate = true;
    for (const go of this.reads.splice(0)) go();
    await Promise.all(this.asking);
    for (let i = 0; i < 4; i++) this.commit();
    this.announce();
    for (let person = 1; person <= PEOPLE; person++) {
      for (let more = true; more; ) {
        const before = this.given;
        await this.search(asId<AnnotatorId>(person));
        more = this.given > before;
      }
    }
  }

  private async search(annotatorId: AnnotatorId): Promise<void> {
    const suits = (task: TaskEntry) =>
      isReady(task) && !task.had.includes(annotatorId) && !holdsLease(task, annotatorId);
    for (let reads = 0; reads < READS_MAX; reads++) {
      const picked = this.queue.pick(annotatorId, suits);
      if (picked.kind === 'task') {
        if (!suits(picked.task)) this.problems.push(`task ${picked.task.id} does not suit ${annotatorId}`);
        return this.lease(picked.task, annotatorId);
      }
      if (picked.kind === 'none') {
        const missed = this.eligible(annotatorId);
        if (missed.length > 0) this.problems.push(`${annotatorId} was told nothing is there: ${missed}`);
        return;
      }
      await this.queue.read(picked.started, annotatorId, suits);
    }
    this.problems.push(`${annotatorId} read ${READS_MAX} times`);
  }

  private eligible(annotatorId: AnnotatorId): TaskId[] {
    return [...this.announced].filter((id) => {
      const task = this.tasks.get(id);
      if (task) return isReady(task) && !task.had.includes(annotatorId) && !holdsLease(task, annotatorId);
      const row = this.disk.get(id);
      return row?.state === 'waiting' && row.filled < row.overlap && !row.had.includes(annotatorId);
    });
  }

  private lease(task: TaskEntry, annotatorId: AnnotatorId): void {
    const taken = new Set([...task.filledSlots, ...Array.from(task.leases.values(), (lease) => lease.slot)]);
    const slot = [0, 1, 2, 3].find((one) => !taken.has(one)) ?? 0;
    step(task, { type: 'LEASE' });
    const lease = newLease(asId<AssignmentId>(this.nextLease++), task, annotatorId, slot);
    task.leases.set(lease.id, lease);
    this.given += 1;
    this.queue.place(task, false);
  }

  private write(task: TaskEntry): void {
    if (this.dirty.has(task)) return;
    this.dirty.add(task);
    task.pendingWrites += 1;
  }

  private async read(
    query: Parameters<ConstructorParameters<typeof ReadyQueue>[0]['store']['readReady']>[0],
  ) {
    const { notHadBy } = query;
    // As the disk is when the query runs; the answer arrives later.
    const rows = [...this.disk.values()]
      .filter((row) => row.state === 'waiting' && row.filled > 0 === query.started)
      .filter((row) => compareKeys(row, query.after) > 0)
      .filter((row) => notHadBy === undefined || !row.had.includes(notHadBy))
      .sort(compareKeys)
      .slice(0, query.limit);
    if (!this.isImmediate) await new Promise<void>((resolve) => this.reads.push(resolve));
    return rows;
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

function step(task: TaskEntry, event: TaskEvent): void {
  const result = stepTask(task.snapshot, event);
  if (!result.accepted) throw new Error(`${event.type}: ${result.reason}`);
  task.snapshot = result.next;
}

function newRow(id: TaskId, overlap: number, queuePriority: number): TaskRow {
  return {
    id,
    state: 'waiting',
    machineVersion: 1,
    overlap,
    filled: 0,
    filledSlots: [],
    attempts: 0,
    condition: null,
    priority: 0,
    queuePriority,
    queueRank: id,
    had: [],
    requirements: null,
    requeued: false,
  };
}

function rowOf(task: TaskEntry): TaskRow {
  const { state, context } = task.snapshot;
  return {
    ...newRow(task.id, context.overlap, task.queuePriority),
    state,
    filled: context.filled,
    filledSlots: task.filledSlots,
    attempts: context.attempts,
    had: task.had,
  };
}

function newLease(id: AssignmentId, task: TaskEntry, annotatorId: AnnotatorId, slot: number): Lease {
  return {
    id,
    projectId: asId<ProjectId>(1),
    shardId: asId<ShardId>(1),
    task,
    annotatorId,
    slot,
    capacitySlot: 0,
    attempt: 1,
    requestId: null,
    state: 'active',
    saved: Promise.resolve('committed'),
    startedMs: 0,
    offerEndsMs: 0,
    silentAtMs: 0,
    endsMs: 0,
    warned: false,
    dropped: false,
    hasDraft: false,
    open: true,
    dueMs: 0,
    heapIndex: -1,
  };
}

const person = fc.integer({ min: 1, max: PEOPLE }).map((n) => asId<AnnotatorId>(n));
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('ask' as const), who: person }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      index: fc.nat(20),
      how: fc.constantFrom('submit' as const, 'skip' as const, 'release' as const),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('deliver' as const), index: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('import' as const),
      priorities: fc.array(fc.nat(2), { minLength: 1, maxLength: 10 }),
      overlap: fc.integer({ min: 1, max: 3 }),
      isAnnouncedNow: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reprioritize' as const),
      index: fc.nat(20),
      priority: fc.nat(2),
    }),
  },
);

const settings = fc.record({ startedFirst: fc.boolean(), isSequential: fc.boolean() });

test('whoever could be given a task is never told that there is none, whatever crosses whatever', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(action, { maxLength: 120, size: 'max' }), async (how, script) => {
      const world = new World(how);
      world.import([0, 1, 0, 2, 0, 0, 1, 0, 0, 0, 2, 0], 2, true);
      for (const one of script) {
        if (one.do === 'ask') world.ask(one.who);
        else if (one.do === 'end') world.end(one.index, one.how);
        else if (one.do === 'commit') world.commit();
        else if (one.do === 'import') world.import(one.priorities, one.overlap, one.isAnnouncedNow);
        else if (one.do === 'reprioritize') world.reprioritize(one.index, one.priority);
        else await world.deliver(one.index);
        await turns();
        expect(world.problems).toEqual([]);
      }
      await world.finish();
      expect(world.problems).toEqual([]);
    }),
    { numRuns: Number(process.env.BATON_RUNS ?? 1_000) },
  );
}, 60_000);
