import type { ShardId } from '../../ids.ts';
import type { Transaction } from '../database.ts';

/** A shard's counters. They move with the commits that change them, so reading them costs one row. */
export interface ShardStats {
  readonly tasks: number;
  readonly waiting: number;
  readonly held: number;
  readonly complete: number;
  readonly cancelled: number;
  readonly submitted: number;
  readonly surplus: number;
  readonly skipped: number;
  readonly expired: number;
  readonly abandoned: number;
  readonly lastSeq: number;
}

export async function readStats(tx: Transaction, shardId: ShardId): Promise<ShardStats | undefined> {
  const row = await tx<ShardStats & { id: number; last_seq: number }>('shards')
    .select('tasks', 'waiting', 'held', 'complete', 'cancelled', 'submitted', 'surplus', 'skipped', 'expired')
    .select('abandoned', 'last_seq')
    .where('id', shardId)
    .first();
  if (row === undefined) return undefined;
  const { last_seq: lastSeq, ...counters } = row;
  return { ...counters, lastSeq };
}
