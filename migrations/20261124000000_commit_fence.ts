import type { Knex } from 'knex';

/**
 * The fence of a commit as a function: it raises when a shard is not the caller's any more, so that the statements of the
 * commit can be sent behind it without waiting for its answer. After the error they all fail.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create function commit_fence(shard_ids int[], incarnation bigint, epochs bigint[], last_seqs bigint[]) returns void
    language plpgsql volatile as $$
    declare
      lost int[];
    begin
      -- Waits for a commit or a takeover that is under way.
      perform 1 from shards where id = any (shard_ids) order by id for no key update;
      -- A statement of its own: it sees the rows as the one that was waited for left them.
      select array_agg(v.id order by v.id) into lost
      from unnest(shard_ids, epochs, last_seqs) as v (id, epoch, last_seq)
      left join shards s on s.id = v.id
      where s.owner is distinct from incarnation or s.epoch <> v.epoch or s.last_seq <> v.last_seq;
      if lost is not null then
        raise exception 'shards of another owner' using errcode = 'BT001', detail = array_to_string(lost, ',');
      end if;
    end $$;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop function commit_fence(int[], bigint, bigint[], bigint[])');
}
