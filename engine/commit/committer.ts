import type { Clock } from '../clock.ts';
import type { Incarnation, ShardId } from '../ids.ts';
import type { CommitOutcome, ShardBatch, Store } from '../store/store.ts';
import type { BatchResult } from './write-set.ts';

/** A shard with something to write. */
export interface CommitSource {
  readonly shardId: ShardId;
  /** Everything queued since the last call, and who to tell; undefined when there is nothing any more. */
  takeBatch(): { batch: ShardBatch; settle: (result: BatchResult) => void } | undefined;
}

/** Why a commit was lost, for the log and the counters. */
export interface CommitLoss {
  readonly reason: 'fenced' | 'failed';
  readonly shardIds: readonly ShardId[];
  readonly error: Error | undefined;
}

export interface CommitStatistics {
  commits: number;
  shardBatches: number;
  rows: number;
  lost: number;
}

/**
 * Group commit: one transaction at a time per node, carrying whatever all its shards queued while the previous
 * one was in flight. Under load the batch grows by itself; with one lone request there is nothing to wait for.
 *
 * C1 A shard's batches are committed in the order they were taken, because only one commit is in flight.
 * C2 A batch is either committed, or nothing of it is told to anybody: its shard reloads from the database.
 * C3 An unknown outcome (COMMIT sent, connection lost) is read back, never guessed. The read waits for the row
 *    lock of whatever is still running.
 */
export class Committer {
  readonly statistics: CommitStatistics = { commits: 0, shardBatches: 0, rows: 0, lost: 0 };
  private readonly dirty = new Set<CommitSource>();
  private running: Promise<void> | undefined;
  private scheduled = false;
  private readonly store: Store;
  private readonly clock: Clock;
  private readonly incarnation: () => Incarnation;
  private readonly onLoss: (loss: CommitLoss) => void;
  private readonly onCommit: (durationMs: number, batches: readonly ShardBatch[]) => void;

  constructor(args: {
    store: Store;
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
    if (this.running || this.scheduled) return;
    this.scheduled = true;
    this.clock.defer(() => {
      this.scheduled = false;
      this.running ??= this.run().finally(() => {
        this.running = undefined;
        if (this.dirty.size > 0) for (const left of this.dirty) this.add(left);
      });
    });
  }

  /** Resolves when nothing is queued and nothing is in flight. */
  async drain(): Promise<void> {
    while (this.running || this.scheduled || this.dirty.size > 0) {
      await (this.running ?? new Promise<void>((resolve) => this.clock.defer(resolve)));
    }
  }

  private async run(): Promise<void> {
    while (this.dirty.size > 0) {
      const taken: { batch: ShardBatch; settle: (result: BatchResult) => void }[] = [];
      for (const source of this.dirty) {
        const one = source.takeBatch();
        if (one) taken.push(one);
      }
      this.dirty.clear();
      if (taken.length > 0) await this.commit(taken);
    }
  }

  private async commit(taken: { batch: ShardBatch; settle: (result: BatchResult) => void }[]): Promise<void> {
    const batches = taken.map((t) => t.batch);
    const startedMs = this.clock.nowMs();
    const outcome = await this.resolve(await this.attempt(batches), batches);
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
      const kept = taken.filter((t) => !lost.has(t.batch.shardId));
      if (kept.length === taken.length) return this.lose(taken, 'fenced', undefined);
      this.lose(
        taken.filter((t) => lost.has(t.batch.shardId)),
        'fenced',
        undefined,
      );
      // Nothing was written: the shards that are still ours go again without the ones that are not.
      if (kept.length > 0) await this.commit(kept);
      return;
    }
    this.lose(taken, 'failed', outcome.error);
  }

  private async attempt(batches: readonly ShardBatch[]): Promise<CommitOutcome> {
    try {
      return await this.store.commit(this.incarnation(), batches);
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
        return b.toSeq > b.fromSeq && shard?.epoch === b.epoch && shard.lastSeq === b.toSeq;
      };
      return batches.every(isIn) ? { kind: 'committed' } : { kind: 'failed', error: outcome.error };
    } catch (error) {
      // Still nobody knows. Callers are told to try again with the same ids, and the reload reads the truth.
      return { kind: 'failed', error: asError(error) };
    }
  }

  private lose(
    taken: readonly { batch: ShardBatch; settle: (result: BatchResult) => void }[],
    reason: CommitLoss['reason'],
    error: Error | undefined,
  ): void {
    this.statistics.lost += 1;
    this.onLoss({ reason, shardIds: taken.map((t) => t.batch.shardId), error });
    for (const { settle } of taken) settle('lost');
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
