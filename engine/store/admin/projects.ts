import { asId, type ProjectId, type ShardId } from '../../ids.ts';
import { completeSettings, type ProjectSettings } from '../../settings.ts';
import { nameOf, PROJECT_STATUS_CODES } from '../codes.ts';
import type { Transaction } from '../database.ts';

export type ProjectStatus = keyof typeof PROJECT_STATUS_CODES;

export interface ProjectRecord {
  readonly id: ProjectId;
  /** By part. Tasks go into the first `settings.shards` of them; the others are being emptied, or are empty. */
  readonly shardIds: readonly ShardId[];
  readonly slug: string;
  readonly name: string;
  readonly status: ProjectStatus;
  readonly settings: ProjectSettings;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Row {
  id: number;
  shard_ids: number[];
  slug: string;
  name: string;
  status: number;
  settings: Partial<ProjectSettings>;
  created_at: Date;
  updated_at: Date;
}

const SELECT = `
  select p.id, array(select s.id from shards s where s.project_id = p.id order by s.part) as shard_ids,
    p.slug, p.name, p.status, p.settings, p.created_at, p.updated_at
  from projects p`;

function recordOf(row: Row): ProjectRecord {
  return {
    id: asId<ProjectId>(row.id),
    shardIds: row.shard_ids.map((id) => asId<ShardId>(id)),
    slug: row.slug,
    name: row.name,
    status: nameOf(PROJECT_STATUS_CODES, row.status),
    settings: completeSettings(row.settings),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** A project and its shards. @returns undefined when the slug is taken. */
export async function insertProject(
  tx: Transaction,
  project: { slug: string; name: string; settings: ProjectSettings },
): Promise<ProjectRecord | undefined> {
  const { rows } = await tx.raw<{ rows: { id: number }[] }>(
    `with made as (
       insert into projects (slug, name, settings) values (?, ?, cast(? as jsonb))
       on conflict (slug) do nothing returning id
     )
     insert into shards (project_id, part) select id, part from made, generate_series(0, ?::int - 1) part
     returning project_id as id`,
    [project.slug, project.name, JSON.stringify(project.settings), project.settings.shards],
  );
  return rows[0] === undefined ? undefined : readProject(tx, project.slug);
}

/** @param lock `update` for a change of the row, `share` for work that relies on it until the commit. */
export async function readProject(
  tx: Transaction,
  slug: string,
  lock?: 'update' | 'share',
): Promise<ProjectRecord | undefined> {
  // A statement of its own: what waited for the lock would see the project as it is now, and its shards as they were.
  if (lock !== undefined) await tx.raw(`select 1 from projects where slug = ? for ${lock}`, [slug]);
  const { rows } = await tx.raw<{ rows: Row[] }>(`${SELECT} where p.slug = ?`, [slug]);
  return rows[0] === undefined ? undefined : recordOf(rows[0]);
}

export async function listProjects(
  tx: Transaction,
  page: { after: number; limit: number },
): Promise<ProjectRecord[]> {
  const { rows } = await tx.raw<{ rows: Row[] }>(`${SELECT} where p.id > ? order by p.id limit ?`, [
    page.after,
    page.limit,
  ]);
  return rows.map(recordOf);
}

export async function updateProject(
  tx: Transaction,
  id: ProjectId,
  change: { name: string; settings: ProjectSettings; status: ProjectStatus },
): Promise<void> {
  await tx('projects')
    .where({ id })
    .update({
      name: change.name,
      settings: JSON.stringify(change.settings),
      status: PROJECT_STATUS_CODES[change.status],
      updated_at: tx.fn.now(),
    });
}

/** Makes sure that the parts up to this count are there. Parts are never taken away. */
export async function insertShards(tx: Transaction, id: ProjectId, count: number): Promise<void> {
  await tx.raw(
    `insert into shards (project_id, part) select ?, part from generate_series(0, ?::int - 1) part
     on conflict (project_id, part) do nothing`,
    [id, count],
  );
}
