/**
 * The shard, of those that take tasks, that a task belongs to, as SQL: the part whose hash with the task's id is
 * highest (rendezvous hashing). It depends on the id and the number of parts alone, so imports and moves agree, and
 * a move that is begun again goes on where it stopped; each part gets an even sample, in the order of the import;
 * and when the number changes no more tasks move than must.
 *
 * @param id an expression for the task's id.
 * @param shards an expression for the ids of the shards that take tasks, by part: `int[]`.
 */
export function homeShardSql(id: string, shards: string): string {
  return `(select home.shard from unnest(${shards}) with ordinality as home (shard, part)
    order by hashint8extended(${id}, home.part) desc, home.part limit 1)`;
}
