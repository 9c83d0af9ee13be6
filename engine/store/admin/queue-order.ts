import type { ProjectId } from '../../ids.ts';
import type { Strategy } from '../../settings.ts';
import type { Transaction } from '../database.ts';

/**
 * A task's place in the queue, as SQL over its id and priority. Ranks stay below 2^53 and are unique in a shard: a
 * random one is 20 bits of hash above the low 32 bits of the id.
 */
export function queueOrderSql(
  strategy: Strategy,
  columns: { id: string; priority: string },
): { priority: string; rank: string } {
  const { id } = columns;
  return {
    priority: strategy === 'priority' ? `(-${columns.priority})::smallint` : '0::smallint',
    rank:
      strategy === 'random' ? `((hashint8extended(${id}, 0) & 1048575) << 32) | (${id} & 4294967295)` : id,
  };
}

/**
 * Lays the tasks after `after` out anew, `limit` ids at a time: one statement over a large project would hold the
 * rows that leases need for too long.
 *
 * @returns the last id it looked at, or undefined at the end.
 */
export async function reorderTasks(
  tx: Transaction,
  args: { projectId: ProjectId; strategy: Strategy; after: number; limit: number },
): Promise<number | undefined> {
  const order = queueOrderSql(args.strategy, { id: 't.id', priority: 't.priority' });
  const { rows } = await tx.raw<{ rows: { last: number | null }[] }>(
    `with part as (
       select id from tasks where project_id = ? and id > ? order by id limit ?
     ), moved as (
       update tasks t set queue_priority = ${order.priority},
              queue_rank = ${order.rank}
       from part where t.project_id = ? and t.id = part.id
         and (t.queue_priority, t.queue_rank) is distinct from
             (${order.priority}, ${order.rank})
     )
     select max(id) as last from part`,
    [args.projectId, args.after, args.limit, args.projectId],
  );
  return rows[0]?.last ?? undefined;
}
