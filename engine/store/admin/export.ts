import type { Readable } from 'node:stream';
import {
  type AnnotatorId,
  type AssignmentId,
  type AssignmentRef,
  asId,
  type ProjectId,
  type TaskId,
} from '../../ids.ts';
import type { Json } from '../../settings.ts';
import type { Database } from '../database.ts';

/** One answer with what a reader needs beside it. */
export interface ExportedAnnotation {
  readonly taskId: TaskId;
  readonly externalId: string | null;
  readonly annotator: { readonly id: AnnotatorId; readonly externalId: string };
  readonly assignment: AssignmentRef;
  readonly submissionId: string;
  readonly result: Json;
  readonly counted: boolean;
  readonly startedAt: Date | null;
  readonly submittedAt: Date;
  readonly leadTimeMs: number;
}

export interface ExportFilter {
  readonly counted?: boolean | undefined;
  readonly annotatorId?: AnnotatorId | undefined;
  readonly taskId?: TaskId | undefined;
}

interface Row {
  task_id: number;
  external_id: string | null;
  annotator_id: number;
  annotator: string;
  assignment_id: number;
  submission_id: string;
  result: Json;
  counted: boolean;
  started_at: Date | null;
  submitted_at: Date;
  lead_time_ms: number;
}

const BATCH_ROWS = 200;

/**
 * Reads a project's annotations as one snapshot, a batch at a time through a portal, as fast as the reader takes
 * them. Stopping early gives the connection back.
 */
export async function* streamAnnotations(
  db: Database,
  projectId: ProjectId,
  filter: ExportFilter,
): AsyncGenerator<ExportedAnnotation> {
  const conditions = ['n.project_id = ?'];
  const bindings: (number | boolean)[] = [projectId];
  if (filter.counted !== undefined) {
    conditions.push('n.counted = ?');
    bindings.push(filter.counted);
  }
  if (filter.annotatorId !== undefined) {
    conditions.push('n.annotator_id = ?');
    bindings.push(filter.annotatorId);
  }
  if (filter.taskId !== undefined) {
    conditions.push('n.task_id = ?');
    bindings.push(filter.taskId);
  }
  const stream: Readable = db
    .raw(
      `select n.task_id, t.external_id, n.annotator_id, r.external_id as annotator, n.assignment_id,
              n.submission_id, n.result, n.counted, a.started_at, n.submitted_at, n.lead_time_ms
       from annotations n
       join tasks t on t.project_id = n.project_id and t.id = n.task_id
       join annotators r on r.id = n.annotator_id
       left join assignments a on a.project_id = n.project_id and a.id = n.assignment_id
       where ${conditions.join(' and ')}
       order by n.project_id, n.assignment_id`,
      bindings,
    )
    .stream({ batchSize: BATCH_ROWS, highWaterMark: BATCH_ROWS });
  try {
    for await (const row of stream as AsyncIterable<Row>) yield recordOf(row, projectId);
  } finally {
    stream.destroy();
  }
}

function recordOf(row: Row, projectId: ProjectId): ExportedAnnotation {
  return {
    taskId: asId<TaskId>(row.task_id),
    externalId: row.external_id,
    annotator: { id: asId<AnnotatorId>(row.annotator_id), externalId: row.annotator },
    assignment: { projectId, id: asId<AssignmentId>(row.assignment_id) },
    submissionId: row.submission_id,
    result: row.result,
    counted: row.counted,
    startedAt: row.started_at,
    submittedAt: row.submitted_at,
    leadTimeMs: row.lead_time_ms,
  };
}
