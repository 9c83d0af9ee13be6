import type { Incarnation, ShardId } from '../../ids.ts';
import type { Database } from '../database.ts';
import type { CommitOutcome, ShardBatch } from '../store.ts';
import { fenceParameters, rowsParameters } from './commit-rows.ts';
import { FENCE_SQL, ROWS_SQL } from './commit-sql.ts';

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
): Promise<CommitOutcome> {
  const sent = { commit: false };
  let fenced: ShardId[] = [];
  try {
    await db.transaction(async (tx) => {
      const fence = await tx
        .raw<{ rows: { id: ShardId }[] }>(FENCE_SQL, fenceParameters(incarnation, batches))
        .options({ name: 'baton_fence' });
      const held = new Set(fence.rows.map((row) => row.id));
      fenced = batches.map((b) => b.shardId).filter((id) => !held.has(id));
      if (fenced.length > 0) throw new Fenced();
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

class Fenced extends Error {}

/** Classes 22, 23, 25, 40, 53: the server refused and rolled back. 57 and 08 are shutdowns and lost connections. */
function isRollback(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return /^(22|23|25|40|53)/.test(String(error.code));
}
