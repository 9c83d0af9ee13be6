import {
  type AnnotatorId,
  type AssignmentId,
  type AssignmentRef,
  asId,
  type ProjectId,
  type TaskId,
} from '../../ids.ts';
import { ASSIGNMENT_STATE_CODES, nameOf } from '../codes.ts';
import type { Transaction } from '../database.ts';

export type AssignmentStateName = keyof typeof ASSIGNMENT_STATE_CODES;

export interface AssignmentRecord {
  readonly ref: AssignmentRef;
  readonly project: string;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly state: AssignmentStateName;
  readonly slot: number;
  readonly attempt: number;
  readonly grantedAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly endReason: string | null;
}

interface Row {
  id: number;
  project_id: number;
  project: string;
  task_id: number;
  annotator_id: number;
  state: number;
  slot: number;
  attempt: number;
  granted_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  end_reason: string | null;
}

export interface AssignmentFilter {
  readonly projectId?: ProjectId | undefined;
  readonly annotatorId?: AnnotatorId | undefined;
  readonly taskId?: TaskId | undefined;
  readonly states?: readonly AssignmentStateName[] | undefined;
}

const OPEN = [ASSIGNMENT_STATE_CODES.offered, ASSIGNMENT_STATE_CODES.active] as readonly number[];

/**
 * Newest first, keyed by project and id. A filter on open states is written as the partial indexes have it
 * (`state <= 2`), or every open lease would be looked for among all assignments ever made.
 */
export async function listAssignments(
  tx: Transaction,
  filter: AssignmentFilter,
  page: { before?: AssignmentRef | undefined; limit: number },
): Promise<AssignmentRecord[]> {
  const query = tx({ a: 'assignments' })
    .join({ p: 'projects' }, 'p.id', 'a.project_id')
    .select<Row[]>(
      tx.raw(`a.id, a.project_id, p.slug as project, a.task_id, a.annotator_id, a.state, a.slot, a.attempt,
              a.granted_at, a.started_at, a.ended_at, a.end_reason`),
    )
    .orderBy([
      { column: 'a.project_id', order: 'desc' },
      { column: 'a.id', order: 'desc' },
    ])
    .limit(page.limit);
  if (page.before !== undefined) {
    query.whereRaw('(a.project_id, a.id) < (?, ?)', [page.before.projectId, page.before.id]);
  }
  if (filter.projectId !== undefined) query.where('a.project_id', filter.projectId);
  if (filter.annotatorId !== undefined) query.where('a.annotator_id', filter.annotatorId);
  if (filter.states !== undefined) {
    const codes = filter.states.map((state) => ASSIGNMENT_STATE_CODES[state]);
    query.whereIn('a.state', codes);
    if (codes.every((code) => OPEN.includes(code))) query.whereRaw('a.state <= 2 and a.state <= 4');
  }
  if (filter.taskId !== undefined) {
    // Assignments that ended are in no index by task; the task's transitions name them all.
    query.whereIn(
      'a.id',
      tx('transitions')
        .distinct('assignment_id')
        .where('task_id', filter.taskId)
        .whereNotNull('assignment_id'),
    );
    query.where('a.task_id', filter.taskId);
  }
  return (await query).map(recordOf);
}

function recordOf(row: Row): AssignmentRecord {
  return {
    ref: { projectId: asId<ProjectId>(row.project_id), id: asId<AssignmentId>(row.id) },
    project: row.project,
    taskId: asId<TaskId>(row.task_id),
    annotatorId: asId<AnnotatorId>(row.annotator_id),
    state: nameOf(ASSIGNMENT_STATE_CODES, row.state),
    slot: row.slot,
    attempt: row.attempt,
    grantedAt: row.granted_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    endReason: row.end_reason,
  };
}
