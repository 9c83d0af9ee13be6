import type { ProjectId } from '../../ids.ts';
import type { Transaction } from '../database.ts';
import type { ShardCounters } from '../store.ts';

/** A project's counters. They move with the commits that change them, so reading them costs a row per shard. */
export interface ProjectCounters extends Readonly<ShardCounters> {
  /** The number of each shard's last transition, by part. */
  readonly lastSeqs: readonly number[];
}

interface Row extends ShardCounters {
  last_seq: number;
  /** Tasks that were moved here and are not counted yet. */
  arriving: number;
}

export async function readCounters(tx: Transaction, projectId: ProjectId): Promise<ProjectCounters> {
  const rows = await tx<Row>('shards as s')
    .select('tasks', 'waiting', 'held', 'complete', 'cancelled', 'submitted', 'surplus', 'skipped', 'expired')
    .select('abandoned', 'last_seq')
    .select({
      arriving: tx.raw(`(select coalesce(sum(c.created), 0) from import_chunks c
        where c.shard_id = s.id and c.moved_from is not null)`),
    })
    .where('project_id', projectId)
    .orderBy('part');
  const sum = (name: keyof Row) => rows.reduce((total, row) => total + row[name], 0);
  return {
    tasks: sum('tasks') + sum('arriving'),
    waiting: sum('waiting') + sum('arriving'),
    held: sum('held'),
    complete: sum('complete'),
    cancelled: sum('cancelled'),
    submitted: sum('submitted'),
    surplus: sum('surplus'),
    skipped: sum('skipped'),
    expired: sum('expired'),
    abandoned: sum('abandoned'),
    lastSeqs: rows.map((row) => row.last_seq),
  };
}
