import { asId, type ProjectId, type ShardId, type TaskId } from '../../engine/ids.ts';
import { compareKeys } from '../../engine/queue/key.ts';
import type { SimDatabase, SimTask } from './sim-database.ts';

/** What the statements of a change of shards do, on the simulated database: each function is one transaction. */

/** The setting, and rows for parts that are not there yet. */
export function setShards(database: SimDatabase, projectId: ProjectId, count: number): void {
  const row = database.projects.get(projectId);
  if (!row) throw new Error(`no project ${projectId}`);
  const shardIds = [...row.shardIds];
  while (shardIds.length < count) {
    const id = asId<ShardId>(database.nextId());
    database.addShard(id, projectId);
    shardIds.push(id);
  }
  database.projects.set(projectId, { ...row, settings: { ...row.settings, shards: count }, shardIds });
}

/**
 * Moves a few of the tasks at rest that do not belong to this shard to those that they belong to.
 *
 * @returns how many; 0 when none is left, or the setting is not this any more.
 */
export function moveStrays(
  database: SimDatabase,
  args: { projectId: ProjectId; shardId: ShardId; count: number; limit: number },
): number {
  const row = database.projects.get(args.projectId);
  const shard = database.shards.get(args.shardId);
  if (!row || !shard || row.settings.shards !== args.count) return 0;
  const homes = row.shardIds.slice(0, args.count);
  const strays = [...database.tasks.values()]
    .filter(
      (task) => task.shardId === shard.id && isAtRest(database, task) && homeOf(task.id, homes) !== shard.id,
    )
    .sort(compareKeys)
    .slice(0, args.limit);
  const arrivals = new Map<ShardId, number>();
  for (const task of strays) {
    task.shardId = homeOf(task.id, homes);
    arrivals.set(task.shardId, (arrivals.get(task.shardId) ?? 0) + 1);
  }
  for (const [to, count] of arrivals) {
    const id = database.nextId();
    database.chunks.set(id, { id, shardId: to, created: count, movedFrom: row.shardIds.indexOf(shard.id) });
    shard.lastSeq += 1;
    shard.counters.tasks -= count;
    shard.counters.waiting -= count;
    database.record({
      shardId: shard.id,
      seq: shard.lastSeq,
      atMs: database.nowMs(),
      event: 'tasks_moved',
      taskId: null,
      assignmentId: null,
      annotatorId: null,
      taskState: null,
      assignmentState: null,
      actor: 'sim',
      detail: { to: row.shardIds.indexOf(to), count },
    });
  }
  if (arrivals.size > 0) shard.epoch += 1;
  return strays.length;
}

function isAtRest(database: SimDatabase, task: SimTask): boolean {
  if (task.state !== 'waiting' || task.filled > 0) return false;
  for (const lease of database.openLeases()) if (lease.taskId === task.id) return false;
  return true;
}

function homeOf(taskId: TaskId, homes: readonly ShardId[]): ShardId {
  const home = homes[(Math.imul(taskId, 0x9e3779b1) >>> 8) % homes.length];
  if (home === undefined) throw new Error('a project without shards');
  return home;
}
