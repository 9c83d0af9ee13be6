import { MACHINE_VERSION } from '../../../machines/index.ts';
import type { Incarnation } from '../../ids.ts';
import {
  ASSIGNMENT_STATE_CODES,
  HOLD_CONDITION_CODES,
  TASK_STATE_CODES,
  TRANSITION_CODES,
} from '../codes.ts';
import type { ShardBatch } from '../store.ts';

type Cell = string | number | boolean | null;

/**
 * Rows to columns: one Postgres array literal per column, in the order of the statement's parameters. Literals are
 * written here because the driver's own conversion looks at each value several times.
 */
function columns<Row>(rows: readonly Row[], cells: readonly ((row: Row) => Cell)[]): string[] {
  return cells.map((cell) => arrayLiteral(rows.map(cell)));
}

function arrayLiteral(cells: readonly Cell[]): string {
  return `{${cells.map(element).join(',')}}`;
}

function element(cell: Cell): string {
  if (cell === null) return 'null';
  if (typeof cell !== 'string') return String(cell);
  const needsEscape = cell.includes('"') || cell.includes('\\');
  return needsEscape ? `"${cell.replaceAll(/["\\]/g, '\\$&')}"` : `"${cell}"`;
}

function gather<Row>(
  batches: readonly ShardBatch[],
  rowsOf: (batch: ShardBatch) => readonly Row[],
): { batch: ShardBatch; row: Row }[] {
  return batches.flatMap((batch) => rowsOf(batch).map((row) => ({ batch, row })));
}

/** The parameters of FENCE_SQL. */
export function fenceParameters(incarnation: Incarnation, batches: readonly ShardBatch[]): string[] {
  const [shardIds = '', epochs = '', lastSeqs = ''] = columns(batches, [
    (b) => b.shardId,
    (b) => b.epoch,
    (b) => b.fromSeq,
  ]);
  return [shardIds, String(incarnation), epochs, lastSeqs];
}

/** The parameters of RELEASE_SQL. */
export function releaseParameters(batches: readonly ShardBatch[]): string[] {
  return columns(
    gather(batches, (b) => b.assignmentReleases),
    [
      ({ batch }) => batch.projectId,
      ({ row }) => row.id,
      ({ row }) => ASSIGNMENT_STATE_CODES[row.state],
      ({ row }) => row.endReason,
      ({ row }) => (row.deadlineInMs === null ? null : Math.round(row.deadlineInMs)),
    ],
  );
}

/** The parameters of ROWS_SQL. */
export function rowsParameters(batches: readonly ShardBatch[]): string[] {
  return [
    ...shardColumns(batches),
    ...claimedColumns(batches),
    ...insertedColumns(batches),
    ...taskColumns(batches),
    ...annotationColumns(batches),
    ...draftColumns(batches),
    arrayLiteral(batches.flatMap((b) => [...b.announcedChunks])),
    ...transitionColumns(batches),
  ];
}

function shardColumns(batches: readonly ShardBatch[]): string[] {
  return columns(batches, [
    (b) => b.shardId,
    (b) => b.toSeq,
    (b) => b.counters.tasks,
    (b) => b.counters.waiting,
    (b) => b.counters.held,
    (b) => b.counters.complete,
    (b) => b.counters.cancelled,
    (b) => b.counters.submitted,
    (b) => b.counters.surplus,
    (b) => b.counters.skipped,
    (b) => b.counters.expired,
    (b) => b.counters.abandoned,
  ]);
}

function claimedColumns(batches: readonly ShardBatch[]): string[] {
  return columns(
    gather(batches, (b) => b.assignmentClaims),
    [
      ({ batch }) => batch.projectId,
      ({ row }) => row.id,
      ({ row }) => ASSIGNMENT_STATE_CODES[row.state],
      ({ row }) => row.slot,
    ],
  );
}

function insertedColumns(batches: readonly ShardBatch[]): string[] {
  return columns(
    gather(batches, (b) => b.assignmentInserts),
    [
      ({ batch }) => batch.projectId,
      ({ batch }) => batch.shardId,
      ({ row }) => row.id,
      ({ row }) => row.taskId,
      ({ row }) => row.annotatorId,
      ({ row }) => row.slot,
      ({ row }) => row.capacitySlot,
      ({ row }) => row.attempt,
      ({ row }) => ASSIGNMENT_STATE_CODES[row.state],
      ({ row }) => row.requestId,
      ({ row }) => Math.round(row.deadlineInMs),
      ({ row }) => row.endReason,
    ],
  );
}

function taskColumns(batches: readonly ShardBatch[]): string[] {
  return columns(
    gather(batches, (b) => b.tasks),
    [
      ({ batch }) => batch.projectId,
      ({ row }) => row.id,
      ({ row }) => TASK_STATE_CODES[row.state],
      () => MACHINE_VERSION,
      ({ row }) => row.overlap,
      ({ row }) => row.filled,
      ({ row }) => `{${row.filledSlots.join(',')}}`,
      ({ row }) => row.attempts,
      ({ row }) => (row.condition === null ? null : HOLD_CONDITION_CODES[row.condition]),
      ({ row }) => row.holdDetail,
      ({ row }) => row.priority,
      ({ row }) => row.queuePriority,
      ({ row }) => `{${row.had.join(',')}}`,
      ({ row }) => row.requeued,
    ],
  );
}

function annotationColumns(batches: readonly ShardBatch[]): string[] {
  return columns(
    gather(batches, (b) => b.annotations),
    [
      ({ batch }) => batch.projectId,
      ({ row }) => row.assignmentId,
      ({ row }) => row.taskId,
      ({ row }) => row.annotatorId,
      ({ row }) => row.counted,
      ({ row }) => row.late,
      ({ row }) => row.submissionId,
      ({ row }) => row.resultText,
      ({ row }) => row.leadTimeMs,
    ],
  );
}

function draftColumns(batches: readonly ShardBatch[]): string[] {
  const drafts = gather(batches, (b) => b.drafts).map(({ row }) => row);
  const kept = drafts.filter((row) => row.draftText !== null);
  const deleted = drafts.filter((row) => row.draftText === null);
  return [
    ...columns(kept, [
      (row) => row.taskId,
      (row) => row.annotatorId,
      (row) => row.assignmentId,
      (row) => row.draftText,
    ]),
    ...columns(deleted, [(row) => row.taskId, (row) => row.annotatorId]),
  ];
}

function transitionColumns(batches: readonly ShardBatch[]): string[] {
  return columns(
    gather(batches, (b) => b.transitions),
    [
      ({ batch }) => batch.shardId,
      ({ row }) => row.seq,
      ({ batch }) => batch.projectId,
      ({ row }) => row.taskId,
      ({ row }) => row.assignmentId,
      ({ row }) => row.annotatorId,
      ({ row }) => TRANSITION_CODES[row.event],
      ({ row }) => (row.taskState === null ? null : TASK_STATE_CODES[row.taskState]),
      ({ row }) => (row.assignmentState === null ? null : ASSIGNMENT_STATE_CODES[row.assignmentState]),
      ({ row }) => row.actor,
      ({ row }) => (row.detail === null ? null : JSON.stringify(row.detail)),
    ],
  );
}
