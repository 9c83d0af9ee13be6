import type { Knex } from 'knex';
import * as foundation from '../migrations/20261123000000_foundation.ts';
import * as commitFence from '../migrations/20261124000000_commit_fence.ts';
import * as manyNodes from '../migrations/20261125000000_many_nodes.ts';
import * as shardsOfAProject from '../migrations/20261125010000_shards_of_a_project.ts';
import * as schemaNeeds from '../migrations/20261125020000_schema_needs.ts';
import * as requeuedTasks from '../migrations/20261125030000_requeued_tasks.ts';

/**
 * Every migration by the name that is kept in the database. Names never change. A list instead of a directory
 * scan: it is the same under every loader, and a test compares it with the directory.
 */
export const MIGRATIONS: Readonly<Record<string, Knex.Migration>> = {
  '20261123000000_foundation.ts': foundation,
  '20261124000000_commit_fence.ts': commitFence,
  '20261125000000_many_nodes.ts': manyNodes,
  '20261125010000_shards_of_a_project.ts': shardsOfAProject,
  '20261125020000_schema_needs.ts': schemaNeeds,
  '20261125030000_requeued_tasks.ts': requeuedTasks,
};
