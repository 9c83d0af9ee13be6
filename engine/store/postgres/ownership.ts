import type { Incarnation, ProjectId, ShardId } from '../../ids.ts';
import { PROJECT_STATUS_CODES } from '../codes.ts';
import type { Database } from '../database.ts';
import type { NodeRole, NodeRow, ShardOwner } from '../store.ts';

interface NodeColumns {
  incarnation: Incarnation;
  name: string;
  version: string;
  address: string;
  roles: string;
}

export async function joinNode(
  db: Database,
  args: { name: string; version: string; address: string; roles: readonly NodeRole[] },
): Promise<Incarnation> {
  const [row] = await db<NodeColumns>('nodes')
    .insert({ ...args, roles: args.roles.join(',') })
    .returning('incarnation');
  if (!row) throw new Error('a node joined and got no incarnation');
  return row.incarnation;
}

export async function renewNode(db: Database, incarnation: Incarnation, termMs: number): Promise<boolean> {
  const renewed = await db('nodes')
    .where({ incarnation })
    .whereRaw(`renewed_at > now() - ? * interval '1 millisecond'`, [termMs])
    .update({ renewed_at: db.fn.now() });
  return renewed === 1;
}

export async function leaveNode(db: Database, incarnation: Incarnation): Promise<void> {
  await db.transaction(async (tx) => {
    await tx('shards').where({ owner: incarnation }).update({ owner: null });
    await tx('nodes').where({ incarnation }).delete();
  });
}

/**
 * Takes the shard unless a live node owns it. The update waits for a commit of the old owner that is under way
 * and makes every later one fail its fence. Dead nodes' rows are removed in passing.
 */
export async function takeShard(
  db: Database,
  shardId: ShardId,
  incarnation: Incarnation,
  termMs: number,
): Promise<{ epoch: number; lastSeq: number } | undefined> {
  const taken = await db.raw<{ rows: { epoch: number; lastSeq: number }[] }>(
    `update shards s set owner = :incarnation, epoch = s.epoch + 1
     where s.id = :shardId and (s.owner is null or s.owner = :incarnation or not exists (
       select 1 from nodes n where n.incarnation = s.owner
         and n.renewed_at > now() - :termMs * interval '1 millisecond'))
       and exists (select 1 from nodes n where n.incarnation = :incarnation)
     returning s.epoch, s.last_seq as "lastSeq"`,
    { shardId, incarnation, termMs },
  );
  await db.raw(`delete from nodes where renewed_at < now() - interval '1 hour'`);
  return taken.rows[0];
}

export async function liveNodes(db: Database, termMs: number): Promise<NodeRow[]> {
  const rows: NodeColumns[] = await db('nodes')
    .whereRaw(`renewed_at > now() - ? * interval '1 millisecond'`, [termMs])
    .orderBy('incarnation')
    .select('incarnation', 'name', 'version', 'address', 'roles');
  return rows.map((row) => ({ ...row, roles: rolesOf(row.roles) }));
}

/** A role that only a later release knows is left out. */
function rolesOf(text: string): NodeRole[] {
  return text.split(',').filter((role) => role === 'gateway' || role === 'engine');
}

export async function releaseShard(db: Database, shardId: ShardId, incarnation: Incarnation): Promise<void> {
  await db('shards').where({ id: shardId, owner: incarnation }).update({ owner: null });
}

export async function shardOwners(db: Database, afterMove: number): Promise<ShardOwner[]> {
  return db('shards as s')
    .join('projects as p', 'p.id', 's.project_id')
    .where((is) =>
      is.where('s.moved', '>', afterMove).orWhereIn('s.id', db('import_chunks').select('shard_id')),
    )
    .whereNot('p.status', PROJECT_STATUS_CODES.archived)
    .orderBy('s.moved')
    .select({ shardId: 's.id', projectId: 's.project_id', owner: 's.owner', move: 's.moved' })
    .select({ hasNews: db.raw('s.id in (select shard_id from import_chunks)') });
}

export async function shardsWithOpenLeases(
  db: Database,
): Promise<{ shardId: ShardId; projectId: ProjectId }[]> {
  // The partial index of open leases is as long as there are open leases.
  return db('assignments').where('state', '<=', 2).distinct({ shardId: 'shard_id', projectId: 'project_id' });
}

/** The row lock waits for a commit that may still be running on a connection we lost. */
export async function readBack(
  db: Database,
  shardIds: readonly ShardId[],
): Promise<Map<ShardId, { epoch: number; lastSeq: number }>> {
  const rows = await db.transaction((tx) =>
    tx<{ id: ShardId; epoch: number; last_seq: number }>('shards')
      .whereIn('id', [...shardIds])
      .select('id', 'epoch', 'last_seq')
      .orderBy('id')
      .forUpdate(),
  );
  return new Map(rows.map((row) => [row.id, { epoch: row.epoch, lastSeq: row.last_seq }]));
}
