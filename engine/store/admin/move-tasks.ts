import type { ProjectId, ShardId } from '../../ids.ts';
import type { QueueKey } from '../../queue/key.ts';
import { TASK_STATE_CODES, TRANSITION_CODES } from '../codes.ts';
import type { Transaction } from '../database.ts';
import { homeShardSql } from './home-shard.ts';

/** Fresh tasks of one shard, from a key (exclusive) to another (inclusive), in queue order. */
export interface Stretch {
  readonly shardId: ShardId;
  readonly after: QueueKey | undefined;
  readonly last: QueueKey;
  /** Some of them belong to another shard. */
  readonly hasStrays: boolean;
}

/**
 * Looks at the next `limit` fresh tasks of a shard, without a lock.
 *
 * @param homes the shards that take tasks, by part.
 * @returns undefined at the end.
 */
export async function readStretch(
  tx: Transaction,
  args: { shardId: ShardId; homes: readonly ShardId[]; after: QueueKey | undefined; limit: number },
): Promise<Stretch | undefined> {
  const { shardId, after, limit } = args;
  const { rows } = await tx.raw<{ rows: { priority: number; rank: number; strays: boolean }[] }>(
    `with stretch as (
       select t.id, t.queue_priority, t.queue_rank from tasks t
       where t.shard_id = ? and t.state = ${TASK_STATE_CODES.waiting} and t.filled = 0
         ${after === undefined ? '' : 'and (t.queue_priority, t.queue_rank) > (?, ?)'}
       order by t.queue_priority, t.queue_rank limit ?
     )
     select queue_priority as priority, queue_rank as rank,
       (select bool_or(${homeShardSql('stretch.id', '?::int[]')} <> ?) from stretch) as strays
     from stretch order by queue_priority desc, queue_rank desc limit 1`,
    [
      shardId,
      ...(after === undefined ? [] : [after.queuePriority, after.queueRank]),
      limit,
      [...args.homes],
      shardId,
    ],
  );
  const [end] = rows;
  if (end === undefined) return undefined;
  const last = { queuePriority: end.priority, queueRank: end.rank };
  return { shardId, after, last, hasStrays: end.strays };
}

/**
 * Moves the tasks of a stretch that are at rest (no answer, no open lease) and belong to other shards there, with all that
 * goes with it, or does nothing if there are none:
 *
 * - its number of the move in the history of the shard that they leave, and its counters;
 * - a chunk for each shard that they come to: its owner numbers and counts it, like an import;
 * - a new epoch of the shard that they leave: who holds it in memory cannot commit any more and reads it anew, so a
 *   task has one writer at every moment.
 *
 * The lock of the shard's row waits for a commit that is under way, as a takeover does; what it has written is seen by
 * the statement after it, and a commit that comes later meets the new epoch.
 *
 * @returns how many tasks were moved.
 */
export async function moveStrays(
  tx: Transaction,
  args: {
    projectId: ProjectId;
    /** The part that the tasks leave. */
    part: number;
    homes: readonly ShardId[];
    stretch: Stretch;
    actor: string;
  },
): Promise<number> {
  const { projectId, stretch, homes } = args;
  const { shardId, after, last } = stretch;
  await tx.raw('select 1 from shards where id = ? for update', [shardId]);
  const { rows } = await tx.raw<{ rows: { moved: number }[] }>(
    `with strays as materialized (
       select t.id, ${homeShardSql('t.id', '?::int[]')} as home from tasks t
       where t.shard_id = ? and t.state = ${TASK_STATE_CODES.waiting} and t.filled = 0
         ${after === undefined ? '' : 'and (t.queue_priority, t.queue_rank) > (?, ?)'}
         and (t.queue_priority, t.queue_rank) <= (?, ?)
         and not exists (
           select 1 from assignments a where a.task_id = t.id and a.state <= 4 and a.state <= 2)
     ), moved as (
       update tasks t set shard_id = s.home from strays s
       where t.project_id = ? and t.id = s.id and s.home <> t.shard_id returning t.shard_id
     ), arrivals as (
       select shard_id, count(*)::int as count, row_number() over (order by shard_id) as number
       from moved group by shard_id
     ), announced as (
       insert into import_chunks (shard_id, created, actor, moved_from) select shard_id, count, ?, ? from arrivals
     ), written as (
       insert into transitions (shard_id, seq, project_id, event, actor, detail, at)
       select s.id, s.last_seq + a.number, s.project_id, ${TRANSITION_CODES.tasks_moved}, ?,
         jsonb_build_object('to', h.part, 'count', a.count), clock_timestamp()
       from arrivals a join shards h on h.id = a.shard_id join shards s on s.id = ?
     )
     update shards s set epoch = s.epoch + 1, last_seq = s.last_seq + sum.shards, tasks = s.tasks - sum.tasks,
       waiting = s.waiting - sum.tasks
     from (select count(*) as shards, sum(count) as tasks from arrivals) sum
     where s.id = ? and sum.shards > 0 returning sum.tasks as moved`,
    [
      [...homes],
      shardId,
      ...(after === undefined ? [] : [after.queuePriority, after.queueRank]),
      last.queuePriority,
      last.queueRank,
      projectId,
      args.actor,
      args.part,
      args.actor,
      shardId,
      shardId,
    ],
  );
  return rows[0]?.moved ?? 0;
}
