import type { Knex } from 'knex';

/**
 * Which programs may still work with this schema: those that know the migration named here. A release that only adds leaves
 * it, so that the release before can run, and start again, beside it while a deploy is under way. The release that takes
 * something away names the newest migration that a program must know to do without.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(
    `alter table cluster add column needs_migration text not null default '20261125020000_schema_needs.ts'`,
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table cluster drop column needs_migration');
}
