import { hasFreeSlot, InvalidSnapshotError, type TaskSnapshot, upcastTask } from '../../machines/index.ts';
import { isRequirement } from '../eligibility.ts';
import type { AnnotatorId, AssignmentId, TaskId } from '../ids.ts';
import type { Queued } from '../queue/lane.ts';
import type { Requirement } from '../settings.ts';
import type { TaskRow } from '../store/store.ts';
import type { Lease } from './lease.ts';

/** A task in memory: it is ready in a window, leased, or waiting for its last write to be committed. */
export interface TaskEntry extends Queued {
  readonly id: TaskId;
  snapshot: TaskSnapshot;
  filledSlots: number[];
  /** Answered, or skipped: never offered to them again. */
  had: AnnotatorId[];
  readonly requirements: readonly Requirement[] | null;
  priority: number;
  queuePriority: number;
  readonly queueRank: number;
  holdDetail: string | null;
  requeued: boolean;
  readonly leases: Map<AssignmentId, Lease>;
  /** Commits in flight or queued that carry this task: until they are done, memory is the only truth. */
  pendingWrites: number;
  /** Which lane it is in, while `inLane`. */
  inStartedLane: boolean;
  /** It has leases and no free slot: counted, for the answer to "why do I get nothing". */
  occupied: boolean;
}

/** @throws FutureSnapshotError or InvalidSnapshotError when the row cannot be understood. */
export function newTaskEntry(row: TaskRow, open: number, maxAttempts: number): TaskEntry {
  const snapshot = upcastTask(row.machineVersion, snapshotOf(row, open, maxAttempts));
  if (new Set(row.filledSlots).size !== row.filled)
    throw new InvalidSnapshotError(`${row.filled} answers in the slots ${row.filledSlots.join(', ')}`);
  if (row.requirements && !row.requirements.every(isRequirement))
    throw new InvalidSnapshotError('the requirements are not a list of conditions');
  return entry(row, snapshot);
}

/** A row that cannot be understood, with what can be known of it: only good for being quarantined. */
export function brokenTaskEntry(row: TaskRow, maxAttempts: number): TaskEntry {
  return entry(row, snapshotOf(row, 0, maxAttempts));
}

function snapshotOf(row: TaskRow, open: number, maxAttempts: number): TaskSnapshot {
  const { overlap, filled, attempts, condition } = row;
  return { state: row.state, context: { overlap, open, filled, attempts, maxAttempts, condition } };
}

function entry(row: TaskRow, snapshot: TaskSnapshot): TaskEntry {
  return {
    id: row.id,
    snapshot,
    filledSlots: [...row.filledSlots],
    had: [...row.had],
    requirements: row.requirements,
    priority: row.priority,
    queuePriority: row.queuePriority,
    queueRank: row.queueRank,
    holdDetail: null,
    requeued: row.requeued,
    leases: new Map(),
    pendingWrites: 0,
    inStartedLane: false,
    occupied: false,
    arrival: 0,
    inLane: false,
  };
}

/** Started tasks have an answer or an open lease; the others are fresh. */
export function isStarted(task: TaskEntry): boolean {
  return task.snapshot.context.filled > 0 || task.leases.size > 0;
}

export function isReady(task: TaskEntry): boolean {
  return hasFreeSlot(task.snapshot);
}

/** A held task takes a late answer too: perhaps the lease that ran out was its last attempt. */
export function takesLateAnswer(task: TaskEntry): boolean {
  const { state, context } = task.snapshot;
  const isOpen = state === 'waiting' || (state === 'held' && context.condition !== 'quarantined');
  return isOpen && context.open + context.filled < context.overlap;
}

export function holdsLease(task: TaskEntry, annotatorId: AnnotatorId): boolean {
  for (const lease of task.leases.values()) if (lease.annotatorId === annotatorId) return true;
  return false;
}

/** The smallest slot that no counted assignment has. The caller knows that there is one. */
export function freeSlot(task: TaskEntry): number {
  const taken = new Set(task.filledSlots);
  for (const lease of task.leases.values()) taken.add(lease.slot);
  for (let slot = 0; slot < task.snapshot.context.overlap; slot++) if (!taken.has(slot)) return slot;
  throw new Error(`task ${task.id} has no free slot`);
}
