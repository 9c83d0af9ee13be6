import type { TaskId } from '../ids.ts';
import { ok, type Result, refuse } from '../refusals.ts';
import type { JsonObject } from '../settings.ts';
import type { TransitionName } from '../store/codes.ts';
import type { ProjectRow, TaskRow } from '../store/store.ts';
import { advanceTask } from './advance.ts';
import { endLease } from './end-lease.ts';
import { adoptTask } from './recover.ts';
import type { TaskEntry } from './task-entry.ts';
import type { Term } from './term.ts';

/** @returns the task in memory, read from disk if it rests there; undefined when this shard has none. @throws when the database is away. */
export async function findTask(term: Term, taskId: TaskId): Promise<TaskEntry | undefined> {
  const inMemory = term.tasks.get(taskId);
  if (inMemory) return inMemory;
  return term.queue.reading(
    () => term.context.store.readTask({ projectId: term.projectId, shardId: term.shardId, taskId }),
    (row: TaskRow | undefined) => {
      // While the row was on its way the task may have come into memory, and moved.
      const arrived = term.tasks.get(taskId);
      if (arrived) return arrived;
      return row && term.alive ? adoptTask(term, row, []) : undefined;
    },
  );
}

export function cancelTask(term: Term, task: TaskEntry, actor: string): Result<{ state: string }> {
  const { state } = task.snapshot;
  if (state === 'cancelled') return ok({ state });
  if (state === 'complete') return refuse('conflict', 'A complete task cannot be cancelled.');
  for (const lease of [...task.leases.values()]) {
    endLease(term, lease, { event: 'REVOKE', reason: 'task_cancelled', actor, tellHolder: true });
  }
  return changeTask(term, task, actor, 'task_cancelled', null, () =>
    advanceTask(term, task, { type: 'CANCEL' }),
  );
}

export function requeueTask(term: Term, task: TaskEntry, actor: string): Result<{ state: string }> {
  if (task.snapshot.state === 'complete') {
    return refuse('conflict', 'The task is complete: raise its overlap to get more answers.');
  }
  task.holdDetail = null;
  task.requeued = true;
  return changeTask(term, task, actor, 'task_requeued', null, () =>
    advanceTask(term, task, { type: 'REQUEUE' }),
  );
}

export function setOverlap(
  term: Term,
  task: TaskEntry,
  overlap: number,
  actor: string,
): Result<{ state: string }> {
  const { open, filled } = task.snapshot.context;
  if (overlap < open + filled) {
    return refuse(
      'conflict',
      `The task has ${filled} answers and ${open} open leases: overlap cannot be ${overlap}.`,
    );
  }
  return changeTask(term, task, actor, 'task_overlap', { overlap }, () =>
    advanceTask(term, task, { type: 'SET_OVERLAP', overlap }),
  );
}

export function setPriority(
  term: Term,
  task: TaskEntry,
  priority: number,
  actor: string,
): Result<{ priority: number }> {
  const ordersByPriority = term.project.settings.strategy === 'priority';
  term.queue.moved(task, () => {
    task.priority = priority;
    task.queuePriority = ordersByPriority ? -priority : 0;
  });
  record(term, task, actor, 'task_priority', { priority });
  return ok({ priority });
}

/** New settings hold for everything that happens from now on; open leases keep the deadlines they were given. */
export function changeSettings(term: Term, project: ProjectRow): void {
  const { maxAttempts } = project.settings;
  const limitChanged = maxAttempts !== term.project.settings.maxAttempts;
  term.settingsChanged(project);
  if (!limitChanged) return;
  for (const task of term.tasks.values()) advanceTask(term, task, { type: 'SET_MAX_ATTEMPTS', maxAttempts });
}

function changeTask(
  term: Term,
  task: TaskEntry,
  actor: string,
  event: TransitionName,
  detail: JsonObject | null,
  step: () => boolean,
): Result<{ state: string }> {
  if (!step()) return refuse('conflict', `Not possible while the task is ${task.snapshot.state}.`);
  record(term, task, actor, event, detail);
  term.queue.place(task, true);
  return ok({ state: task.snapshot.state });
}

function record(
  term: Term,
  task: TaskEntry,
  actor: string,
  event: TransitionName,
  detail: JsonObject | null,
): void {
  const writes = term.write();
  writes.task(task);
  writes.transition({
    event,
    taskId: task.id,
    taskState: task.snapshot.state,
    actor,
    ...(detail === null ? {} : { detail }),
  });
}
