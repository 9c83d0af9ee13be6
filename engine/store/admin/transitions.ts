import { type AnnotatorId, type AssignmentId, asId, type ProjectId, type TaskId } from '../../ids.ts';
import type { JsonObject } from '../../settings.ts';
import {
  ASSIGNMENT_STATE_CODES,
  nameOf,
  TASK_STATE_CODES,
  TRANSITION_CODES,
  type TransitionName,
} from '../codes.ts';
import type { Transaction } from '../database.ts';
import type { AssignmentStateName } from './assignments.ts';
import type { ProjectRecord } from './projects.ts';
import type { TaskStateName } from './tasks.ts';

/** One step of a shard's history, as it lies on disk. */
export interface TransitionRecord {
  /** Which of the project's shards. */
  readonly part: number;
  readonly seq: number;
  readonly projectId: ProjectId;
  readonly event: TransitionName;
  readonly at: Date;
  readonly taskId: TaskId | null;
  readonly assignmentId: AssignmentId | null;
  readonly annotatorId: AnnotatorId | null;
  readonly taskState: TaskStateName | null;
  readonly assignmentState: AssignmentStateName | null;
  readonly actor: string | null;
  readonly detail: JsonObject | null;
}

interface Row {
  part: number;
  seq: number;
  project_id: number;
  event: number;
  at: Date;
  task_id: number | null;
  assignment_id: number | null;
  annotator_id: number | null;
  task_state: number | null;
  assignment_state: number | null;
  actor: string | null;
  detail: JsonObject | null;
}

const COLUMNS = `t.seq, t.project_id, t.event, t.at, t.task_id, t.assignment_id, t.annotator_id, t.task_state,
  t.assignment_state, t.actor, t.detail`;

/**
 * The feed after one number per shard: each shard's transitions in order, those of several merged by time. `last_seq`
 * moves in the transaction that writes the transitions, under the lock of the shard's row, so nothing below it can
 * appear later: a reader that follows it misses nothing. Times may go back a little within a shard, and its order may
 * not: rows are merged by the latest time that the shard has come to.
 *
 * @param page.after by part; a shard that is not named is read from its beginning.
 */
export async function readFeed(
  tx: Transaction,
  project: ProjectRecord,
  page: { after: readonly number[]; limit: number },
): Promise<TransitionRecord[]> {
  const { rows } = await tx.raw<{ rows: Row[] }>(
    `select t.*, max(t.at) over (partition by t.part order by t.seq) as reached
     from (
       select s.part, t.* from unnest(?::int[], ?::bigint[]) as w (shard_id, after)
       join shards s on s.id = w.shard_id
       cross join lateral (
         select ${COLUMNS} from transitions t
         where t.shard_id = w.shard_id and t.seq > w.after and t.seq <= s.last_seq order by t.seq limit ?
       ) t
     ) t
     order by reached, part, seq limit ?`,
    [[...project.shardIds], project.shardIds.map((_, part) => page.after[part] ?? 0), page.limit, page.limit],
  );
  return rows.map(recordOf);
}

/** A task that moved has its history in several shards, each later than the one before. */
export async function readTaskHistory(
  tx: Transaction,
  taskId: TaskId,
  limit: number,
): Promise<TransitionRecord[]> {
  const { rows } = await tx.raw<{ rows: Row[] }>(
    `select s.part, ${COLUMNS} from transitions t join shards s on s.id = t.shard_id
     where t.task_id = ? order by t.at, t.shard_id, t.seq limit ?`,
    [taskId, limit],
  );
  return rows.map(recordOf);
}

function recordOf(row: Row): TransitionRecord {
  return {
    part: row.part,
    seq: row.seq,
    projectId: asId<ProjectId>(row.project_id),
    event: nameOf(TRANSITION_CODES, row.event),
    at: row.at,
    taskId: row.task_id === null ? null : asId<TaskId>(row.task_id),
    assignmentId: row.assignment_id === null ? null : asId<AssignmentId>(row.assignment_id),
    annotatorId: row.annotator_id === null ? null : asId<AnnotatorId>(row.annotator_id),
    taskState: row.task_state === null ? null : nameOf(TASK_STATE_CODES, row.task_state),
    assignmentState:
      row.assignment_state === null ? null : nameOf(ASSIGNMENT_STATE_CODES, row.assignment_state),
    actor: row.actor,
    detail: row.detail,
  };
}
