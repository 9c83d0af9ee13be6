import type { Clock } from '../clock.ts';
import type { AnnotatorId, Incarnation, ShardId, TaskId } from '../ids.ts';
import type { CommitOutcome, ShardBatch, Store } from '../store/store.ts';
import type { BatchResult } from './write-set.ts';

type CommitStore = Pick<Store, 'commit' | 'readBack'>;

/** A shard with something to write. */
export interface CommitSource {
  readonly shardId: ShardId;
  /** Everything queued since the last call, and who to tell; undefined when there is nothing any more. */
  takeBatch(): Taken | undefined;
}

export interface Taken {
  readonly batch: ShardBatch;
  /** @param clashingTask lost, because the database holds a row of this task that memory does not know of. */
  readonly settle: (result: BatchResult, clashingTask?: TaskId) => void;
}

/** Why a commit was lost, for the log and the counters. */
export interface CommitLoss {
  readonly reason: 'fenced' | 'failed' | 'over_capacity';
  readonly shardIds: readonly ShardId[];
  readonly error: Error | undefined;
  /** Who holds a lease at another node that this one did not know of. */
  readonly annotatorId?: AnnotatorId;
}

export interface CommitStatistics {
  commits: number;
  shardBatches: number;
  rows: number;
  lost: number;
}

/** One is being executed while the next waits, planned and sent, for its turn. */
const IN_FLIGHT_MAX = 2;

/**
 * Group commit: one transaction at a time per node, carrying whatever all its shards queued while the previous
 * one was in flight. Under load the batch grows by itself; with one lone request there is nothing to wait for.
 *
 * C1 A shard's batches are committed in the order they were taken. The next transaction is sent when the fence of
 *    the one before has been passed: from then on the row lock of that fence keeps it waiting, and if the first
 *    fails the number the second expects is wrong, so it fails too.
 * C2 A batch is either committed, or nothing of it is told to anybody: its shard reloads from the database.
 * C3 An unknown outcome (COMMIT sent, connection lost) is read back, never guessed. The read waits for the row
 *    lock of whatever is still running.
 */
export class Committer {
  readonly statistics: CommitStatistics = { commits: 0, shardBatches: 0, rows: 0, lost: 0 };
  private readonly dirty = new Set<CommitSource>();
  private readonly inFlight = new Set<Promise<void>>();
  private launched = 0;
  /** The last transaction that passed its fence, or was over before it did. */
  private passed = 0;
  private scheduled = false;
  private readonly store: CommitStore;
  private readonly clock: Clock;
  private readonly incarnation: () => Incarnation;
  private readonly onLoss: (loss: CommitLoss) => void;
  private readonly onCommit: (durationMs: number, batches: readonly ShardBatch[]) => void;

  constructor(args: {
    store: CommitStore;
    clock: Clock;
    incarnation: () => Incarnation;
    onLoss: (loss: CommitLoss) => void;
    onCommit: (durationMs: number, batches: readonly ShardBatch[]) => void;
  }) {
    this.store = args.store;
    this.clock = args.clock;
    this.incarnation = args.incarnation;
    this.onLoss = args.onLoss;
    this.onCommit = args.onCommit;
  }

  /** The source has something to write; safe to repeat. */
  add(source: CommitSource): void {
    this.dirty.add(source);
    this.schedule();
  }

  /** Resolves when nothing is queued and nothing is in flight. */
  async drain(): Promise<void> {
    while (this.inFlight.size > 0 || this.scheduled || this.dirty.size > 0) {
      await (this.inFlight.size > 0
        ? Promise.all(this.inFlight)
        : new Promise<void>((resolve) => this.clock.defer(resolve)));
    }
  }

  private schedule(): void {
    const mayLaunch = this.passed === this.launched && this.inFlight.size < IN_FLIGHT_MAX;
    if (this.scheduled || !mayLaunch || this.dirty.size === 0) return;
    this.scheduled = true;
    this.clock.defer(() => {
      this.scheduled = false;
      this.launch();
    });
  }

  private launch(): void {
    const taken: Taken[] = [];
    for (const source of this.dirty) {
      const one = source.takeBatch();
      if (one) taken.push(one);
    }
    this.dirty.clear();
    if (taken.length === 0) return;
    const number = ++this.launched;
    const pass = () => {
      this.passed = Math.max(this.passed, number);
      this.schedule();
    };
    const commit = this.commit(taken, pass).finally(() => {
      this.inFlight.delete(commit);
      pass();
    });
    this.inFlight.add(commit);
  }

  private async commit(taken: readonly Taken[], passed: () => void): Promise<void> {
    const batches = taken.map((t) => t.batch);
    const startedMs = this.clock.nowMs();
    const outcome = await this.resolve(await this.attempt(batches, passed), batches);
    if (outcome.kind === 'committed') {
      this.statistics.commits += 1;
      this.statistics.shardBatches += batches.length;
      for (const batch of batches) this.statistics.rows += batch.transitions.length;
      for (const { settle } of taken) settle('committed');
      this.onCommit(this.clock.nowMs() - startedMs, batches);
      return;
    }
    if (outcome.kind === 'fenced') {
      const lost = new Set(outcome.shardIds);
      return this.goOnWithout(taken, (batch) => lost.has(batch.shardId), passed, { reason: 'fenced' });
    }
    if (outcome.kind === 'over_capacity') {
      const { annotatorId } = outcome;
      const grants = (batch: ShardBatch) =>
        batch.assignmentInserts.some((row) => row.annotatorId === annotatorId);
      return this.goOnWithout(taken, grants, passed, { reason: 'over_capacity', annotatorId });
    }
    const clashingTask = outcome.kind === 'failed' ? outcome.clashingTask : undefined;
    this.lose(taken, { reason: 'failed', error: outcome.error }, clashingTask);
  }

  /** Nothing was written: the shards at fault are lost, and the others go again. */
  private async goOnWithout(
    taken: readonly Taken[],
    isAtFault: (batch: ShardBatch) => boolean,
    passed: () => void,
    loss: Pick<CommitLoss, 'reason' | 'annotatorId'>,
  ): Promise<void> {
    const lost = taken.filter((t) => isAtFault(t.batch));
    const all = lost.length === 0;
    this.lose(all ? taken : lost, loss);
    const kept = all ? [] : taken.filter((t) => !lost.includes(t));
    if (kept.length > 0) await this.commit(kept, passed);
  }

  private async attempt(batches: readonly ShardBatch[], passed: () => void): Promise<CommitOutcome> {
    try {
      return await this.store.commit(this.incarnation(), batches, passed);
    } catch (error) {
      return { kind: 'unknown', error: asError(error) };
    }
  }

  private async resolve(outcome: CommitOutcome, batches: readonly ShardBatch[]): Promise<CommitOutcome> {
    if (outcome.kind !== 'unknown') return outcome;
    try {
      const now = await this.store.readBack(batches.map((b) => b.shardId));
      const isIn = (b: ShardBatch) => {
        const shard = now.get(b.shardId);
        return b.toSeq > b.fromSeq && shard?.epoch === b.epoch && shard.lastSeq >= b.toSeq;
      };
      return batches.every(isIn) ? { kind: 'committed' } : { kind: 'failed', error: outcome.error };
    } catch (error) {
      // Still nobody knows. Callers are told to try again with the same ids, and the reload reads the truth.
      return { kind: 'failed', error: asError(error) };
    }
  }

  private lose(
    taken: readonly Taken[],
    loss: Pick<CommitLoss, 'reason' | 'annotatorId'> & { error?: Error },
    clashingTask?: TaskId,
  ): void {
    this.statistics.lost += 1;
    this.onLoss({ error: undefined, ...loss, shardIds: taken.map((t) => t.batch.shardId) });
    for (const { settle } of taken) settle('lost', clashingTask);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
