import type { Json, Requirement } from '../../settings.ts';
import type { Transaction } from '../database.ts';
import { homeShardSql } from './home-shard.ts';
import type { ProjectRecord } from './projects.ts';
import { queueOrderSql } from './queue-order.ts';

/** A task that comes in. */
export interface NewTask {
  readonly data: Json;
  readonly externalId?: string | undefined;
  readonly priority?: number | undefined;
  readonly overlap?: number | undefined;
  readonly requirements?: readonly Requirement[] | undefined;
}

/** The first half of the advisory locks of imports; the second is the project. */
const IMPORT_LOCK = 0x42_41_54;

/**
 * Writes a chunk of tasks, spread over the project's shards, their data, and the announcement for each shard's owner,
 * in one statement. A task whose external id is there already (in the table, or earlier in this chunk) is left out. Absent texts travel as empty ones.
 *
 * @returns how many were created.
 */
export async function insertTasks(
  tx: Transaction,
  project: ProjectRecord,
  tasks: readonly NewTask[],
  actor: string,
): Promise<number> {
  const { settings } = project;
  const order = queueOrderSql(settings.strategy, { id: 'id', priority: 'priority' });
  // One chunk of a project at a time, until its commit: the queue reads on from the last id it has seen, so no lower
  // id may become visible afterwards.
  await tx.raw('select pg_advisory_xact_lock(?, ?)', [IMPORT_LOCK, project.id]);
  const { rows } = await tx.raw<{ rows: { created: number }[] }>(
    `with input as materialized (
       select nextval('task_ids') as id, i.*
       from unnest(cast(? as text[]), cast(? as text[]), cast(? as smallint[]), cast(? as smallint[]), cast(? as text[]))
            with ordinality as i (data, external_id, priority, overlap, requirements, line)
     ), made as (
       insert into tasks (id, project_id, shard_id, overlap, priority, queue_priority, queue_rank, external_id, requirements)
       select id, ?, ${homeShardSql('input.id', '?::int[]')}, overlap, priority, ${order.priority}, ${order.rank}, nullif(external_id, ''), nullif(requirements, '')::jsonb
       from input order by line
       on conflict (project_id, external_id) where external_id is not null do nothing
       returning id, shard_id
     ), payloads as (
       insert into task_payloads (task_id, data) select input.id, input.data::jsonb from input join made using (id)
     )
     insert into import_chunks (shard_id, created, actor)
     select shard_id, count(*), ? from made group by shard_id returning created`,
    [
      tasks.map((task) => JSON.stringify(task.data)),
      tasks.map((task) => task.externalId ?? ''),
      tasks.map((task) => task.priority ?? 0),
      tasks.map((task) => task.overlap ?? settings.overlap),
      tasks.map((task) => (task.requirements === undefined ? '' : JSON.stringify(task.requirements))),
      project.id,
      project.shardIds.slice(0, settings.shards),
      actor,
    ],
  );
  return rows.reduce((sum, row) => sum + row.created, 0);
}
