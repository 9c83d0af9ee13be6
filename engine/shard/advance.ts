import {
  type AssignmentEvent,
  type AssignmentState,
  stepAssignment,
  stepTask,
  type TaskEvent,
  type TaskState,
} from '../../machines/index.ts';
import type { EndReason } from '../door.ts';
import type { ShardCounters } from '../store/store.ts';
import type { Lease } from './lease.ts';
import type { TaskEntry } from './task-entry.ts';
import type { Term } from './term.ts';

const COUNTED_STATES: Partial<Record<TaskState, keyof ShardCounters>> = {
  waiting: 'waiting',
  held: 'held',
  complete: 'complete',
  cancelled: 'cancelled',
};

/**
 * Steps a task's machine. A machine that throws (a snapshot it cannot understand, a broken guard) costs this one
 * task: it is quarantined with the error, and the shard goes on.
 *
 * @returns false when the machine refused; the task is as it was.
 */
export function advanceTask(term: Term, task: TaskEntry, event: TaskEvent): boolean {
  try {
    const step = stepTask(task.snapshot, event);
    if (!step.accepted) return false;
    const before = task.snapshot.state;
    task.snapshot = step.next;
    countState(term, before, step.next.state);
    return true;
  } catch (error) {
    quarantine(term, task, error);
    return false;
  }
}

/** @returns the next state, or undefined when the machine refused. */
export function advanceAssignment(
  state: AssignmentState,
  event: AssignmentEvent,
): AssignmentState | undefined {
  const step = stepAssignment({ state }, event);
  return step.accepted ? step.next.state : undefined;
}

export function countState(term: Term, before: TaskState, after: TaskState): void {
  if (before === after) return;
  const from = COUNTED_STATES[before];
  const to = COUNTED_STATES[after];
  if (from) term.count(from, -1);
  if (to) term.count(to, 1);
}

/** Takes the lease out of every place that knows it. Its task's machine is stepped by the caller. */
export function closeLease(term: Term, lease: Lease): void {
  lease.open = false;
  term.leases.delete(lease.id);
  lease.task.leases.delete(lease.id);
  term.deadlines.remove(lease);
  const member = term.context.roster.peek(lease.annotatorId);
  if (!member) return;
  member.leases.delete(lease.id);
  term.context.roster.letGo(member);
  if (member.waitingIn.size === 0) return;
  // Somebody who waits for more has room again.
  term.write().onCommitted(() => {
    for (const room of [...member.waitingIn]) room.serveLater(member.row.id);
  });
}

/** Sets the task aside by hand: its machine has just shown that it cannot be asked. */
export function quarantine(term: Term, task: TaskEntry, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const reason: EndReason = 'quarantined';
  for (const lease of [...task.leases.values()]) {
    closeLease(term, lease);
    term.write().updateAssignment(lease.id, { state: 'revoked', endReason: reason });
    term.write().transition({
      event: 'revoked',
      taskId: task.id,
      assignmentId: lease.id,
      annotatorId: lease.annotatorId,
      assignmentState: 'revoked',
      detail: { reason },
    });
    term.remember(lease.id, {
      annotatorId: lease.annotatorId,
      state: 'revoked',
      receipt: undefined,
      saved: term.saved(),
    });
    const ref = { projectId: term.projectId, id: lease.id };
    term.write().onCommitted(() => term.context.push(lease.annotatorId, { kind: 'revoked', ref, reason }));
  }
  const before = task.snapshot.state;
  task.snapshot = { state: 'held', context: { ...task.snapshot.context, open: 0, condition: 'quarantined' } };
  task.holdDetail = message.slice(0, 500);
  countState(term, before, 'held');
  const writes = term.write();
  writes.task(task);
  writes.transition({ event: 'task_quarantined', taskId: task.id, taskState: 'held' });
  term.queue.place(task, false);
  term.context.incident({ kind: 'task_quarantined', error, shardId: term.shardId, taskId: task.id });
}
