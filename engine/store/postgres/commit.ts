import type { Incarnation, ShardId } from '../../ids.ts';
import type { Database } from '../database.ts';
import type { CommitOutcome, ShardBatch } from '../store.ts';
import { fenceParameters, releaseParameters, rowsParameters } from './commit-rows.ts';
import { FENCE_SQL, RELEASE_SQL, ROWS_SQL } from './commit-sql.ts';

/**
 * Writes the batches in one transaction, all or nothing.
 *
 * An error before COMMIT was sent means that nothing was written. After that, an error the server itself reports
 * (it has a SQLSTATE of a rollback) also means nothing; a lost connection means that nobody knows.
 */
export async function commitBatches(
  db: Database,
  incarnation: Incarnation,
  batches: readonly ShardBatch[],
  passed: () => void,
): Promise<CommitOutcome> {
  const sent = { commit: false };
  let fenced: ShardId[] = [];
  try {
    await db.transaction(async (tx) => {
      const fence = await tx
        .raw<{ rows: ShardFence[] }>(FENCE_SQL, fenceParameters(batches))
        .options({ name: 'baton_fence' });
      fenced = batches.filter((batch) => !isHeld(batch, incarnation, fence.rows)).map((b) => b.shardId);
      if (fenced.length > 0) throw new Fenced();
      if (batches.some((b) => b.assignmentReleases.length > 0)) {
        await tx.raw(RELEASE_SQL, releaseParameters(batches)).options({ name: 'baton_release' });
      }
      // Only now: the next commit may take places of capacity, in another shard, that this one has just released.
      passed();
      await tx.raw(ROWS_SQL, rowsParameters(batches)).options({ name: 'baton_rows' });
      sent.commit = true;
    });
    return { kind: 'committed' };
  } catch (error) {
    if (error instanceof Fenced) return { kind: 'fenced', shardIds: fenced };
    const cause = error instanceof Error ? error : new Error(String(error));
    return sent.commit && !isRollback(error)
      ? { kind: 'unknown', error: cause }
      : { kind: 'failed', error: cause };
  }
}

interface ShardFence {
  readonly id: ShardId;
  readonly owner: Incarnation | null;
  readonly epoch: number;
  readonly lastSeq: number;
}

/** I6 and I7: ours, under the epoch we know, and our numbers follow the last one. */
function isHeld(batch: ShardBatch, incarnation: Incarnation, rows: readonly ShardFence[]): boolean {
  const row = rows.find((candidate) => candidate.id === batch.shardId);
  return row?.owner === incarnation && row.epoch === batch.epoch && row.lastSeq === batch.fromSeq;
}

class Fenced extends Error {}

/** Classes 22, 23, 25, 40, 53: the server refused and rolled back. 57 and 08 are shutdowns and lost connections. */
function isRollback(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return /^(22|23|25|40|53)/.test(String(error.code));
}
