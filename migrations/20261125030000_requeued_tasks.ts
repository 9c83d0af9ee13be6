import type { Knex } from 'knex';

/**
 * I10: whether a task was ever requeued. Its attempts begin at 0 again, and whoever had it before may have left a draft; a
 * task without attempts that was never requeued has none, and no lease of it needs to look.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table tasks add column requeued boolean not null default false');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table tasks drop column requeued');
}
