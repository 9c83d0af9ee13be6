import { type AnnotatorId, type AssignmentId, asId, type ProjectId, type TaskId } from '../../ids.ts';
import type { Json, Requirement } from '../../settings.ts';
import { HOLD_CONDITION_CODES, nameOf, TASK_STATE_CODES } from '../codes.ts';
import type { Transaction } from '../database.ts';
import type { ProjectRecord } from './projects.ts';

export type TaskStateName = keyof typeof TASK_STATE_CODES;
export type HoldConditionName = keyof typeof HOLD_CONDITION_CODES;

export interface TaskRecord {
  readonly id: TaskId;
  readonly externalId: string | null;
  readonly state: TaskStateName;
  readonly hold: { readonly condition: HoldConditionName; readonly detail: string | null } | null;
  readonly overlap: number;
  readonly filled: number;
  readonly open: number;
  readonly attempts: number;
  readonly priority: number;
  readonly requirements: readonly Requirement[] | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Row {
  id: number;
  external_id: string | null;
  state: number;
  hold_condition: number | null;
  hold_detail: string | null;
  overlap: number;
  filled: number;
  open: number;
  attempts: number;
  priority: number;
  requirements: Requirement[] | null;
  created_at: Date;
  updated_at: Date;
}

/** Open leases are counted by the index of the counted slots (states up to 4). */
const COLUMNS = `t.id, t.external_id, t.state, t.hold_condition, t.hold_detail, t.overlap, t.filled, t.attempts,
  t.priority, t.requirements, t.created_at, t.updated_at,
  (select count(*)::int from assignments a where a.task_id = t.id and a.state <= 4 and a.state <= 2) as open`;

function recordOf(row: Row): TaskRecord {
  return {
    id: asId<TaskId>(row.id),
    externalId: row.external_id,
    state: nameOf(TASK_STATE_CODES, row.state),
    hold:
      row.hold_condition === null
        ? null
        : { condition: nameOf(HOLD_CONDITION_CODES, row.hold_condition), detail: row.hold_detail },
    overlap: row.overlap,
    filled: row.filled,
    open: row.open,
    attempts: row.attempts,
    priority: row.priority,
    requirements: row.requirements,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export interface TaskFilter {
  readonly states?: readonly TaskStateName[] | undefined;
  readonly hold?: HoldConditionName | undefined;
  readonly externalId?: string | undefined;
  readonly priority?: number | undefined;
  readonly priorityMin?: number | undefined;
}

/** In import order. Keyed by id, so a page is cheap however far it is and stays right while tasks change. */
export async function listTasks(
  tx: Transaction,
  project: ProjectRecord,
  filter: TaskFilter,
  page: { after: number; limit: number },
): Promise<TaskRecord[]> {
  const query = tx({ t: 'tasks' })
    .select<Row[]>(tx.raw(COLUMNS))
    .where('t.project_id', project.id)
    .where('t.id', '>', page.after)
    .orderBy('t.id')
    .limit(page.limit);
  // The shards are named as well, so that the index of the held tasks can serve a list of them.
  if (filter.states !== undefined) {
    query.whereIn('t.shard_id', project.shardIds);
    const codes = filter.states.map((state) => TASK_STATE_CODES[state]);
    if (codes.length === 1) query.whereRaw(`t.state = ${Number(codes[0])}`);
    else query.whereIn('t.state', codes);
  }
  if (filter.hold !== undefined) {
    query.whereIn('t.shard_id', project.shardIds).whereRaw(`t.state = ${TASK_STATE_CODES.held}`);
    query.where('t.hold_condition', HOLD_CONDITION_CODES[filter.hold]);
  }
  if (filter.externalId !== undefined) query.where('t.external_id', filter.externalId);
  if (filter.priority !== undefined) query.where('t.priority', filter.priority);
  if (filter.priorityMin !== undefined) query.where('t.priority', '>=', filter.priorityMin);
  return (await query).map(recordOf);
}

export async function readTask(
  tx: Transaction,
  projectId: ProjectId,
  id: TaskId,
): Promise<{ task: TaskRecord; data: Json } | undefined> {
  const { rows } = await tx.raw<{ rows: (Row & { data: Json })[] }>(
    `select ${COLUMNS}, p.data from tasks t left join task_payloads p on p.task_id = t.id
     where t.project_id = ? and t.id = ?`,
    [projectId, id],
  );
  return rows[0] === undefined ? undefined : { task: recordOf(rows[0]), data: rows[0].data };
}

export interface AnnotationRecord {
  readonly assignmentId: AssignmentId;
  readonly annotatorId: AnnotatorId;
  readonly submissionId: string;
  readonly result: Json;
  readonly counted: boolean;
  readonly leadTimeMs: number;
  readonly submittedAt: Date;
}

/** Annotations have no index by task: they are found by the assignments that the task's history names. */
export async function listTaskAnnotations(
  tx: Transaction,
  projectId: ProjectId,
  assignmentIds: readonly AssignmentId[],
): Promise<AnnotationRecord[]> {
  if (assignmentIds.length === 0) return [];
  const { rows } = await tx.raw<{ rows: AnnotationRow[] }>(
    `select assignment_id, annotator_id, submission_id, result, counted, lead_time_ms, submitted_at
     from annotations where project_id = ? and assignment_id = any(cast(? as bigint[])) order by assignment_id`,
    [projectId, [...assignmentIds]],
  );
  return rows.map((row) => ({
    assignmentId: asId<AssignmentId>(row.assignment_id),
    annotatorId: asId<AnnotatorId>(row.annotator_id),
    submissionId: row.submission_id,
    result: row.result,
    counted: row.counted,
    leadTimeMs: row.lead_time_ms,
    submittedAt: row.submitted_at,
  }));
}

interface AnnotationRow {
  assignment_id: number;
  annotator_id: number;
  submission_id: string;
  result: Json;
  counted: boolean;
  lead_time_ms: number;
  submitted_at: Date;
}
