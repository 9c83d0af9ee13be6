import { randomUUID } from 'node:crypto';
import type { AnnotatorId, ProjectId, ShardId } from '../engine/ids.ts';
import { asId } from '../engine/ids.ts';
import { DEFAULT_SETTINGS, type Json, type ProjectSettings } from '../engine/settings.ts';
import { insertProject } from '../engine/store/admin/projects.ts';
import { ASSIGNMENT_STATE_CODES, TRANSITION_CODES } from '../engine/store/codes.ts';
import { type Database, openDatabase } from '../engine/store/database.ts';

/** One statement writes at most so many tasks: its memory and its locks stay small. */
const ROWS_PER_STATEMENT = 100_000;

/** What annotators answer with: about 120 bytes. */
export const RESULT: Json = {
  label: 'positive',
  confidence: 4,
  spans: [{ from: 12, to: 40, tag: 'praise' }],
  note: 'Mostly about the service.',
};

/** No lease of a bench ends by a clock: every cycle is a lease and its submit. */
const PATIENT_SETTINGS: ProjectSettings = {
  ...DEFAULT_SETTINGS,
  heartbeatMs: 3_600_000,
  maxDurationMs: 14_400_000,
};

export interface BenchProject {
  readonly projectId: ProjectId;
  readonly shardId: ShardId;
  readonly slug: string;
}

/** Runs `work` with a connection to the database, and closes it. */
export async function withDatabase<T>(url: string, work: (db: Database) => Promise<T>): Promise<T> {
  const db = openDatabase({ url, poolMax: 2, applicationName: 'baton bench' });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

export async function addProject(
  db: Database,
  slug: string,
  settings: Partial<ProjectSettings> = {},
): Promise<BenchProject> {
  const made = await db.transaction((tx) =>
    insertProject(tx, { slug, name: slug, settings: { ...PATIENT_SETTINGS, ...settings } }),
  );
  if (made === undefined) throw new Error(`the project ${slug} is there already`);
  const [shardId] = made.shardIds;
  if (shardId === undefined) throw new Error(`the project ${slug} has no shard`);
  return { projectId: made.id, shardId, slug };
}

export async function addAnnotators(
  db: Database,
  args: { count: number; capacity?: number },
): Promise<AnnotatorId[]> {
  const { rows } = await db.raw<{ rows: { id: number }[] }>(
    `insert into annotators (external_id, name, capacity)
     select 'bench-' || ?::text || n, 'Bench', ?::smallint from generate_series(1, ?::int) n returning id`,
    [randomUUID(), args.capacity ?? 1, args.count],
  );
  return rows.map((row) => asId<AnnotatorId>(row.id));
}

/** What `addTokens` gave this annotator. */
export function tokenOf(annotatorId: number): string {
  return `bench-annotator-${annotatorId}`;
}

/** Tokens that can be told from the annotator's number, for clients in another process. */
export async function addTokens(db: Database, annotatorIds: readonly AnnotatorId[]): Promise<void> {
  await db.raw(
    `insert into tokens (hash, prefix, name, role, annotator_id)
     select sha256(convert_to(token, 'utf8')), 'bench', 'bench', 'annotator', id
     from unnest(?::int[], ?::text[]) as v (id, token)`,
    [[...annotatorIds], annotatorIds.map(tokenOf)],
  );
}

/**
 * Queues tasks as an import does: task, payload, and the announcement for the shard's owner. Their ids are in order
 * and without gaps, for nobody else draws from the sequence meanwhile.
 *
 * @returns the first id.
 */
export async function addTasks(
  db: Database,
  project: BenchProject,
  args: { count: number; overlap?: number; dataBytes?: number; announce?: boolean },
): Promise<number> {
  const { overlap = 1, dataBytes = 500 } = args;
  let first: number | undefined;
  for (let done = 0; done < args.count; done += ROWS_PER_STATEMENT) {
    const { rows } = await db.raw<{ rows: { first: number }[] }>(
      `with ids as materialized (
         select nextval('task_ids') as id from generate_series(1, ?::int)
       ), made as (
         insert into tasks (id, project_id, shard_id, overlap, queue_priority, queue_rank)
         select id, ?, ?, ?, 0, id from ids
       ), payloads as (
         insert into task_payloads (task_id, data)
         select id, jsonb_build_object('number', id, 'text', repeat('A word. ', ?::int)) from ids
       )
       select min(id) as first from ids`,
      [
        Math.min(ROWS_PER_STATEMENT, args.count - done),
        project.projectId,
        project.shardId,
        overlap,
        Math.ceil(dataBytes / 8),
      ],
    );
    first ??= rows[0]?.first;
  }
  if (first === undefined) throw new RangeError('no tasks were asked for');
  if (args.announce ?? true) {
    await db('import_chunks').insert({ shard_id: project.shardId, created: args.count, actor: 'bench' });
  }
  return first;
}

/**
 * Makes the annotator's answers to the first `count` tasks from `firstTask` on, as the engine would have left them:
 * an answer of a task of greater overlap leaves it waiting, with one slot filled. Expects fresh tasks.
 */
export async function addAnswers(
  db: Database,
  project: BenchProject,
  args: { annotatorId: AnnotatorId; firstTask: number; count: number },
): Promise<void> {
  const { annotatorId, count } = args;
  const { projectId, shardId } = project;
  const lastTask = args.firstTask + count - 1;
  const range = [projectId, args.firstTask, lastTask];
  const { active, submitted } = ASSIGNMENT_STATE_CODES;
  await db.transaction(async (tx) => {
    // Assignment ids are drawn in blocks: as many as it takes.
    const drawn = await tx.raw<{ rows: { first: number }[] }>(
      `select min(nextval('assignment_ids')) as first from generate_series(1, ?::int / 4096 + 1)`,
      [count],
    );
    const firstAssignment = drawn.rows[0]?.first ?? 1;
    await tx.raw(
      `update tasks set filled = 1, filled_slots = '{0}', had = array[?::int] where project_id = ? and id between ? and ?`,
      [annotatorId, ...range],
    );
    await tx.raw(
      `insert into assignments (id, project_id, shard_id, task_id, annotator_id, slot, capacity_slot, attempt, state,
         request_id, started_at, deadline_at, ended_at)
       select ?::bigint + id - ?::bigint, project_id, shard_id, id, ?, 0, 0, 1, ?, gen_random_uuid()::text, now(), now(), now()
       from tasks where project_id = ? and id between ? and ?`,
      [firstAssignment, args.firstTask, annotatorId, submitted, ...range],
    );
    await tx.raw(
      `insert into annotations (project_id, assignment_id, task_id, annotator_id, counted, submission_id, result, lead_time_ms)
       select project_id, ?::bigint + id - ?::bigint, id, ?, true, gen_random_uuid()::text, ?::jsonb, 1000
       from tasks where project_id = ? and id between ? and ?`,
      [firstAssignment, args.firstTask, annotatorId, JSON.stringify(RESULT), ...range],
    );
    await tx.raw(
      `insert into transitions (shard_id, seq, project_id, task_id, assignment_id, annotator_id, event, task_state,
         assignment_state)
       select shard_id, 2 * (id - ?::bigint) + step.no, project_id, id, ?::bigint + id - ?::bigint, ?, step.event, 1, step.state
       from tasks, (values (1, ?::smallint, ?::smallint), (2, ?::smallint, ?::smallint)) as step (no, event, state)
       where project_id = ? and id between ? and ?`,
      [
        args.firstTask,
        firstAssignment,
        args.firstTask,
        annotatorId,
        ...[TRANSITION_CODES.assigned, active, TRANSITION_CODES.submitted, submitted],
        ...range,
      ],
    );
    await tx('shards')
      .where({ id: shardId })
      .update({ last_seq: 2 * count, submitted: count });
  });
}

/** As autovacuum would have done in the hours that such a project takes to grow. */
export async function settleTables(db: Database): Promise<void> {
  await db.raw('vacuum analyze');
  await db.raw('checkpoint');
}
