import type { Knex } from 'knex';

/**
 * What many nodes need to find each other. Only adds: a node of the release before goes on working beside it.
 *
 * - nodes: where a process can be reached on the bus, and what it does;
 * - shards: `moved` is higher after every change of owner, so that a node learns of them by reading what is new;
 * - assignments: a request id leads to one open lease, whichever engine was asked;
 * - cluster: which cluster this database is; two of them may share a Redis.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table nodes add column address text not null default '', add column roles text not null default 'engine';

    create sequence shard_moves;
    alter table shards add column moved bigint not null default 0;
    create index shards_moved on shards (moved);
    create function shard_moved() returns trigger language plpgsql as $$
    begin
      new.moved := nextval('shard_moves');
      return new;
    end $$;
    -- A trigger, so that nodes of the release before are seen to move shards, too.
    create trigger shards_owner_changed before update of owner on shards
      for each row when (old.owner is distinct from new.owner) execute function shard_moved();
    create trigger shards_created before insert on shards for each row execute function shard_moved();
    update shards set moved = nextval('shard_moves');

    -- I4: two engines that are asked with one request id, because an answer was lost, do not both lease something for it.
    create unique index assignments_request on assignments (annotator_id, request_id)
      where state <= 2 and request_id is not null;

    create table cluster (
      only_row boolean primary key default true check (only_row),
      id       uuid not null default gen_random_uuid()
    );
    insert into cluster default values;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop table cluster;
    drop index assignments_request;
    drop trigger shards_created on shards;
    drop trigger shards_owner_changed on shards;
    drop function shard_moved();
    alter table shards drop column moved;
    drop sequence shard_moves;
    alter table nodes drop column address, drop column roles;
  `);
}
