import type { AssignmentId } from '../../engine/ids.ts';
import type { AssignmentUpdate, TaskRow, TaskUpdate } from '../../engine/store/store.ts';

/** The end of a lease, as a commit carries it. */
export function ended(id: AssignmentId, state: AssignmentUpdate['state']): AssignmentUpdate {
  return { id, state, slot: null, deadlineInMs: null, endReason: null };
}

/** A task as a commit writes it: as it was read, but for what is given. */
export function written(task: TaskRow, more: Partial<TaskUpdate>): TaskUpdate {
  return {
    id: task.id,
    state: task.state,
    overlap: task.overlap,
    filled: task.filled,
    filledSlots: task.filledSlots,
    attempts: task.attempts,
    condition: task.condition,
    holdDetail: null,
    priority: task.priority,
    queuePriority: task.queuePriority,
    had: task.had,
    requeued: task.requeued,
    ...more,
  };
}

/** @throws when there is none. */
export function at<T>(rows: readonly T[], index: number): T {
  const row = rows[index];
  if (row === undefined) throw new Error(`there is no row ${index}`);
  return row;
}
