import type { Knex } from 'knex';

/**
 * Tasks that move between the shards of a project are announced to their new owner like an import. Only adds: a row
 * with no `moved_from` is an import.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table import_chunks add column moved_from smallint');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table import_chunks drop column moved_from');
}
