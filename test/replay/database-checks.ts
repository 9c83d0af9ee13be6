import type pg from 'pg';

/** What must hold of the tables, each as a query that finds the rows that break it. */
const VIOLATIONS: Readonly<Record<string, string>> = {
  'I1: more counted assignments than the overlap, or two by one annotator': `
    select t.id from tasks t join assignments a on a.task_id = t.id and a.state <= 4
    group by t.id, t.overlap having count(*) > t.overlap or count(*) <> count(distinct a.annotator_id)`,
  'I2: more open leases than the capacity': `
    select n.id from annotators n join assignments a on a.annotator_id = n.id and a.state <= 2
    group by n.id, n.capacity having count(*) > n.capacity`,
  'I4: a submitted assignment without its one annotation, or an annotation without one': `
    select a.id from assignments a full join annotations n on n.project_id = a.project_id and n.assignment_id = a.id
    where (a.state in (3, 4)) is distinct from (n.counted is true)`,
  'I5: a task that waits with all its slots filled, or is complete without': `
    select id from tasks where (state = 1 and filled >= overlap) or (state = 5 and filled <> overlap)`,
  'I7: transitions with a gap': `
    select s.id from shards s left join transitions t on t.shard_id = s.id
    group by s.id, s.last_seq having count(t.seq) <> s.last_seq or coalesce(max(t.seq), 0) <> s.last_seq`,
  'I7: a task whose state is not that of its last transition': `
    select t.id from tasks t join lateral (
      select task_state from transitions where task_id = t.id order by seq desc limit 1) last on true
    where last.task_state is distinct from t.state`,
  'I7: an assignment whose state is not that of its last transition': `
    select a.id from assignments a join lateral (
      select assignment_state from transitions where task_id = a.task_id and assignment_id = a.id
      order by seq desc limit 1) last on true
    where last.assignment_state is distinct from a.state`,
  'I7: assignments that were granted and are not there, or the reverse': `
    select a.id from assignments a
    full join (select project_id, assignment_id from transitions where event = 1) g
      on g.project_id = a.project_id and g.assignment_id = a.id
    where a.id is null or g.assignment_id is null`,
  'a counter of the shard that is not the number of its rows': `
    select s.id from shards s
    where s.tasks <> (select count(*) from tasks where shard_id = s.id)
       or s.complete <> (select count(*) from tasks where shard_id = s.id and state = 5)
       or s.submitted <> (select count(*) from assignments where shard_id = s.id and state in (3, 4))
       or s.skipped <> (select count(*) from assignments where shard_id = s.id and state = 8)`,
  'a draft of an answer that was handed in': `
    select d.task_id from drafts d join annotations n on n.task_id = d.task_id and n.annotator_id = d.annotator_id`,
};

/** @returns the names of the checks that found something, with how much. */
export async function violations(client: pg.Client): Promise<string[]> {
  const found: string[] = [];
  for (const [name, query] of Object.entries(VIOLATIONS)) {
    const { rowCount } = await client.query(query);
    if (rowCount !== 0) found.push(`${name}: ${rowCount}`);
  }
  return found;
}
