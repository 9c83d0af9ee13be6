import { asId, type ProjectId, type ShardId } from '../../ids.ts';
import type { ProjectSettings } from '../../settings.ts';
import { nameOf, PROJECT_STATUS_CODES } from '../codes.ts';
import type { Transaction } from '../database.ts';

export type ProjectStatus = keyof typeof PROJECT_STATUS_CODES;

export interface ProjectRecord {
  readonly id: ProjectId;
  readonly shardId: ShardId;
  readonly slug: string;
  readonly name: string;
  readonly status: ProjectStatus;
  readonly settings: ProjectSettings;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Row {
  id: number;
  shard_id: number;
  slug: string;
  name: string;
  status: number;
  settings: ProjectSettings;
  created_at: Date;
  updated_at: Date;
}

const SELECT = `
  select p.id, s.id as shard_id, p.slug, p.name, p.status, p.settings, p.created_at, p.updated_at
  from projects p join shards s on s.project_id = p.id and s.part = 0`;

function recordOf(row: Row): ProjectRecord {
  return {
    id: asId<ProjectId>(row.id),
    shardId: asId<ShardId>(row.shard_id),
    slug: row.slug,
    name: row.name,
    status: nameOf(PROJECT_STATUS_CODES, row.status),
    settings: row.settings,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** A project and its one shard. @returns undefined when the slug is taken. */
export async function insertProject(
  tx: Transaction,
  project: { slug: string; name: string; settings: ProjectSettings },
): Promise<ProjectRecord | undefined> {
  const { rows } = await tx.raw<{ rows: { id: number }[] }>(
    `with made as (
       insert into projects (slug, name, settings) values (?, ?, cast(? as jsonb))
       on conflict (slug) do nothing returning id
     )
     insert into shards (project_id, part) select id, 0 from made returning project_id as id`,
    [project.slug, project.name, JSON.stringify(project.settings)],
  );
  return rows[0] === undefined ? undefined : readProject(tx, project.slug);
}

/** @param lock `update` for a change of the row, `share` for work that relies on it until the commit. */
export async function readProject(
  tx: Transaction,
  slug: string,
  lock?: 'update' | 'share',
): Promise<ProjectRecord | undefined> {
  const { rows } = await tx.raw<{ rows: Row[] }>(
    `${SELECT} where p.slug = ? ${lock === undefined ? '' : `for ${lock} of p`}`,
    [slug],
  );
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
