import pg from 'pg';

/**
 * What a campaign adds to its database to see what the tables do not say: who committed under which epoch, which owner and
 * epoch the shard's row had at that moment, and when shards changed hands. The fence itself is called as it was; a commit
 * that fails leaves nothing here either.
 */
const PROBES_SQL = `
  create table chaos_commits (
    shard_id int not null, incarnation bigint not null, epoch bigint not null, from_seq bigint not null,
    row_owner bigint, row_epoch bigint not null, row_seq bigint not null, at timestamptz not null default clock_timestamp());
  create table chaos_owners (
    shard_id int not null, owner bigint, epoch bigint not null, at timestamptz not null default clock_timestamp());
  create table chaos_nodes (incarnation bigint not null, name text not null, roles text not null);

  alter function commit_fence(int[], bigint, bigint[], bigint[]) rename to probed_fence;
  create function commit_fence(shard_ids int[], incarnation bigint, epochs bigint[], last_seqs bigint[]) returns void
  language plpgsql volatile as $$
  begin
    perform probed_fence(shard_ids, incarnation, epochs, last_seqs);
    insert into chaos_commits (shard_id, incarnation, epoch, from_seq, row_owner, row_epoch, row_seq)
    select v.id, commit_fence.incarnation, v.epoch, v.seq, s.owner, s.epoch, s.last_seq
    from unnest(shard_ids, epochs, last_seqs) as v (id, epoch, seq) join shards s on s.id = v.id;
  end $$;

  create function chaos_owner_changed() returns trigger language plpgsql as $$
  begin
    insert into chaos_owners (shard_id, owner, epoch) values (new.id, new.owner, new.epoch);
    return null;
  end $$;
  create trigger chaos_owner_changed after update of owner on shards
    for each row when (old.owner is distinct from new.owner or old.epoch <> new.epoch)
    execute function chaos_owner_changed();

  create function chaos_node_joined() returns trigger language plpgsql as $$
  begin
    insert into chaos_nodes (incarnation, name, roles) values (new.incarnation, new.name, new.roles);
    return null;
  end $$;
  create trigger chaos_node_joined after insert on nodes for each row execute function chaos_node_joined();`;

/** Takes the fence out, for the test that the checker sees it. */
const WITHOUT_FENCE_SQL = `
  create or replace function probed_fence(shard_ids int[], incarnation bigint, epochs bigint[], last_seqs bigint[])
  returns void language plpgsql volatile as $$ begin end $$;`;

/** @param sabotage a protection to take out; only tests have a use for it. */
export async function installProbes(databaseUrl: string, sabotage: 'fence' | undefined): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(PROBES_SQL);
    if (sabotage === 'fence') await client.query(WITHOUT_FENCE_SQL);
  } finally {
    await client.end();
  }
}
