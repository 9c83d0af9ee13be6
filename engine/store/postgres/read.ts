import { MACHINE_VERSION } from '../../../machines/index.ts';
import type { AnnotatorId, AssignmentId, AssignmentRef, ProjectId, ShardId, TaskId } from '../../ids.ts';
import type { QueueKey } from '../../queue/key.ts';
import { completeSettings, type Json, type ProjectSettings, type Requirement } from '../../settings.ts';
import {
  ANNOTATOR_STATUS_CODES,
  ASSIGNMENT_STATE_CODES,
  HOLD_CONDITION_CODES,
  knownNameOf,
  nameOf,
  PROJECT_STATUS_CODES,
  TASK_STATE_CODES,
} from '../codes.ts';
import type { Database } from '../database.ts';
import type {
  AnnotatorRow,
  AssignmentRow,
  DraftKey,
  HeldLease,
  ImportChunk,
  OpenAssignmentRow,
  ProjectRow,
  ShardCounters,
  ShardImage,
  TaskRow,
} from '../store.ts';

interface TaskColumns {
  id: TaskId;
  state: number;
  machineVersion: number;
  overlap: number;
  filled: number;
  filledSlots: number[];
  attempts: number;
  holdCondition: number | null;
  priority: number;
  queuePriority: number;
  queueRank: number;
  had: AnnotatorId[];
  requirements: Requirement[] | null;
  requeued: boolean;
}

const TASK_COLUMNS = {
  id: 't.id',
  state: 't.state',
  machineVersion: 't.machine_version',
  overlap: 't.overlap',
  filled: 't.filled',
  filledSlots: 't.filled_slots',
  attempts: 't.attempts',
  holdCondition: 't.hold_condition',
  priority: 't.priority',
  queuePriority: 't.queue_priority',
  queueRank: 't.queue_rank',
  had: 't.had',
  requirements: 't.requirements',
  requeued: 't.requeued',
} as const;

/** A code that this release does not know comes out as a later version: that one task is quarantined, not the shard. */
function toTask(row: TaskColumns): TaskRow {
  const { holdCondition, state, ...rest } = row;
  const stateName = knownNameOf(TASK_STATE_CODES, state);
  const condition = holdCondition === null ? null : knownNameOf(HOLD_CONDITION_CODES, holdCondition);
  const isKnown = stateName !== undefined && condition !== undefined;
  return {
    ...rest,
    state: stateName ?? 'waiting',
    condition: condition ?? null,
    machineVersion: isKnown ? rest.machineVersion : Math.max(rest.machineVersion, MACHINE_VERSION + 1),
  };
}

interface ProjectColumns {
  id: ProjectId;
  slug: string;
  status: number;
  settings: Partial<ProjectSettings>;
  shardIds: ShardId[];
}

function projects(db: Database) {
  return db('projects as p').select('p.id', 'p.slug', 'p.status', 'p.settings', {
    shardIds: db.raw('array(select s.id from shards s where s.project_id = p.id order by s.part)'),
  });
}

function toProject(row: ProjectColumns): ProjectRow {
  return {
    ...row,
    status: nameOf(PROJECT_STATUS_CODES, row.status),
    settings: completeSettings(row.settings),
  };
}

export async function listProjects(db: Database): Promise<ProjectRow[]> {
  const rows: ProjectColumns[] = await projects(db).whereNot('p.status', PROJECT_STATUS_CODES.archived);
  return rows.map(toProject);
}

export async function readProject(db: Database, projectId: ProjectId): Promise<ProjectRow | undefined> {
  const row: ProjectColumns | undefined = await projects(db).where('p.id', projectId).first();
  return row && toProject(row);
}

export async function readAnnotators(db: Database, ids: readonly AnnotatorId[]): Promise<AnnotatorRow[]> {
  const rows: {
    id: AnnotatorId;
    status: number;
    capacity: number;
    skills: Record<string, number>;
    memberOf: ProjectId[];
  }[] = await db('annotators as a')
    .whereIn('a.id', [...ids])
    .select('a.id', 'a.status', 'a.capacity', 'a.skills', {
      memberOf: db.raw('array(select m.project_id from project_members m where m.annotator_id = a.id)'),
    });
  return rows.map((row) => ({ ...row, status: nameOf(ANNOTATOR_STATUS_CODES, row.status) }));
}

export async function loadShard(db: Database, shardId: ShardId): Promise<ShardImage | undefined> {
  const counters: (ShardCounters & { project_id: ProjectId }) | undefined = await db('shards')
    .where({ id: shardId })
    .first(
      'project_id',
      'tasks',
      'waiting',
      'held',
      'complete',
      'cancelled',
      'submitted',
      'surplus',
      'skipped',
      'expired',
      'abandoned',
    );
  if (!counters) return undefined;
  const { project_id: projectId, ...rest } = counters;
  const project = await readProject(db, projectId);
  if (!project) return undefined;
  const open = await readOpen(db, shardId);
  const taskIds = [...new Set(open.map((row) => row.taskId))];
  const rows: TaskColumns[] =
    taskIds.length === 0
      ? []
      : await db('tasks as t')
          .where('t.project_id', projectId)
          .whereRaw('t.id = any (?)', [taskIds])
          .select(TASK_COLUMNS);
  return { project, counters: rest, open, tasks: rows.map(toTask) };
}

async function readOpen(db: Database, shardId: ShardId): Promise<OpenAssignmentRow[]> {
  const rows: {
    id: AssignmentId;
    taskId: TaskId;
    annotatorId: AnnotatorId;
    slot: number;
    capacitySlot: number;
    attempt: number;
    state: number;
    machineVersion: number;
    requestId: string | null;
    ageMs: number;
  }[] = await db('assignments')
    .where('state', '<=', ASSIGNMENT_STATE_CODES.active)
    .andWhere('shard_id', shardId)
    .select({
      id: 'id',
      taskId: 'task_id',
      annotatorId: 'annotator_id',
      slot: 'slot',
      capacitySlot: 'capacity_slot',
      attempt: 'attempt',
      state: 'state',
      machineVersion: 'machine_version',
      requestId: 'request_id',
      ageMs: ageMs(db),
    });
  return rows.map((row) => ({
    ...row,
    state: row.state === ASSIGNMENT_STATE_CODES.offered ? 'offered' : 'active',
  }));
}

/** How long ago the lease began, in ms, by the database's clock. */
function ageMs(db: Database) {
  return db.raw(
    'floor(extract(epoch from clock_timestamp() - coalesce(started_at, granted_at)) * 1000)::bigint',
  );
}

export async function readReady(
  db: Database,
  query: {
    projectId: ProjectId;
    shardId: ShardId;
    started: boolean;
    after: QueueKey;
    limit: number;
    notHadBy?: AnnotatorId;
  },
): Promise<TaskRow[]> {
  const ready = db('tasks as t')
    .where('t.shard_id', query.shardId)
    .andWhere('t.state', TASK_STATE_CODES.waiting)
    .andWhereRaw(query.started ? 't.filled > 0' : 't.filled = 0')
    .orderBy(['t.queue_priority', 't.queue_rank'])
    .limit(query.limit)
    .select(TASK_COLUMNS);
  if (Number.isFinite(query.after.queuePriority)) {
    ready.andWhereRaw('(t.queue_priority, t.queue_rank) > (?, ?)', [
      query.after.queuePriority,
      query.after.queueRank,
    ]);
  }
  if (query.notHadBy !== undefined) ready.andWhereRaw('not (t.had @> array[?::int])', [query.notHadBy]);
  const rows: TaskColumns[] = await ready;
  return rows.map(toTask);
}

export async function readTask(
  db: Database,
  { projectId, shardId, taskId }: { projectId: ProjectId; shardId: ShardId; taskId: TaskId },
): Promise<TaskRow | undefined> {
  const row: TaskColumns | undefined = await db('tasks as t')
    .where({ 't.project_id': projectId, 't.id': taskId, 't.shard_id': shardId })
    .first(TASK_COLUMNS);
  return row && toTask(row);
}

export async function shardOfTask(
  db: Database,
  projectId: ProjectId,
  taskId: TaskId,
): Promise<ShardId | undefined> {
  const row: { shard_id: ShardId } | undefined = await db('tasks')
    .where({ project_id: projectId, id: taskId })
    .first('shard_id');
  return row?.shard_id;
}

export async function openLeasesOf(db: Database, annotatorIds: readonly AnnotatorId[]): Promise<HeldLease[]> {
  const rows: (Omit<HeldLease, 'ref'> & AssignmentRef)[] = await db('assignments')
    .whereRaw('annotator_id = any (?::int[])', [`{${annotatorIds.join(',')}}`])
    .where('state', '<=', ASSIGNMENT_STATE_CODES.active)
    .select({
      annotatorId: 'annotator_id',
      projectId: 'project_id',
      id: 'id',
      shardId: 'shard_id',
      capacitySlot: 'capacity_slot',
      requestId: 'request_id',
    });
  return rows.map(({ projectId, id, ...rest }) => ({ ...rest, ref: { projectId, id } }));
}

export async function readAssignment(db: Database, ref: AssignmentRef): Promise<AssignmentRow | undefined> {
  const row:
    | {
        shardId: ShardId;
        taskId: TaskId;
        annotatorId: AnnotatorId;
        slot: number;
        state: number;
        machineVersion: number;
        ageMs: number;
        submissionId: string | null;
        counted: boolean | null;
        late: boolean | null;
      }
    | undefined = await db('assignments as a')
    .leftJoin('annotations as n', (join) =>
      join.on('n.project_id', 'a.project_id').andOn('n.assignment_id', 'a.id'),
    )
    .join('tasks as t', (join) => join.on('t.project_id', 'a.project_id').andOn('t.id', 'a.task_id'))
    .where({ 'a.project_id': ref.projectId, 'a.id': ref.id })
    .first({
      shardId: 't.shard_id',
      taskId: 'a.task_id',
      annotatorId: 'a.annotator_id',
      slot: 'a.slot',
      state: 'a.state',
      machineVersion: 'a.machine_version',
      submissionId: 'n.submission_id',
      counted: 'n.counted',
      late: 'n.late',
      ageMs: ageMs(db),
    });
  if (!row) return undefined;
  const { submissionId, counted, late, state, ...rest } = row;
  return {
    ...rest,
    ref,
    state: nameOf(ASSIGNMENT_STATE_CODES, state),
    submission:
      submissionId === null ? null : { id: submissionId, counted: counted === true, late: late === true },
  };
}

export async function readPayloads(db: Database, taskIds: readonly TaskId[]): Promise<Map<TaskId, string>> {
  const { rows } = await db.raw<{ rows: { id: TaskId; text: string }[] }>(
    'select task_id as id, data::text as text from task_payloads where task_id = any (?::bigint[])',
    [`{${taskIds.join(',')}}`],
  );
  return new Map(rows.map((row) => [row.id, row.text]));
}

export async function readDrafts(db: Database, of: readonly DraftKey[]): Promise<(Json | undefined)[]> {
  const { rows } = await db.raw<{ rows: { place: number; draft: Json }[] }>(
    `select v.place, d.draft
     from unnest(?::bigint[], ?::int[]) with ordinality as v (task_id, annotator_id, place)
     join drafts d on d.task_id = v.task_id and d.annotator_id = v.annotator_id`,
    [of.map(({ taskId }) => taskId), of.map(({ annotatorId }) => annotatorId)],
  );
  const drafts = new Map(rows.map(({ place, draft }) => [place, draft]));
  return of.map((_, i) => drafts.get(i + 1));
}

export async function unannouncedChunks(db: Database, shardId: ShardId): Promise<ImportChunk[]> {
  return db('import_chunks')
    .where({ shard_id: shardId })
    .orderBy('id')
    .select('id', 'created', 'actor', { movedFrom: 'moved_from' });
}

export async function allocateAssignmentIds(db: Database): Promise<{ first: number; count: number }> {
  const block = await db.raw<{ rows: { first: number; count: number }[] }>(
    `select nextval('assignment_ids') as first, increment_by as count from pg_sequences
     where sequencename = 'assignment_ids' and schemaname = current_schema()`,
  );
  const [row] = block.rows;
  if (!row) throw new Error('the sequence assignment_ids is missing');
  return row;
}
