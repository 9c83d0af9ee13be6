import type { AssignmentId, AssignmentRef, ProjectId, TaskId } from '../ids.ts';
import { ok, type Result, refuse } from '../refusals.ts';
import type { Json } from '../settings.ts';
import { type AssignmentFilter, type AssignmentRecord, listAssignments } from '../store/admin/assignments.ts';
import { type ProjectRecord, readProject } from '../store/admin/projects.ts';
import {
  type AnnotationRecord,
  listTaskAnnotations,
  listTasks,
  readTask,
  type TaskFilter,
  type TaskRecord,
} from '../store/admin/tasks.ts';
import { readTaskHistory, type TransitionRecord } from '../store/admin/transitions.ts';
import { type Actor, type AdminContext, type Page, read } from './context.ts';
import { noProject } from './projects.ts';

/** Transitions, and assignments, that one task shows at most. */
const HISTORY_MAX = 10_000;
const ASSIGNMENTS_MAX = 1_000;

export interface TaskDetail {
  readonly task: TaskRecord;
  readonly data: Json;
  readonly assignments: readonly AssignmentRecord[];
  readonly annotations: readonly AnnotationRecord[];
  readonly history: readonly TransitionRecord[];
  readonly isTruncated: boolean;
  readonly projectId: ProjectId;
}

interface OneTask {
  readonly slug: string;
  readonly taskId: TaskId;
  readonly actor: Actor;
}

export interface TasksAdmin {
  list(slug: string, filter: TaskFilter, page: Page): Promise<Result<TaskRecord[]>>;
  read(slug: string, taskId: TaskId): Promise<Result<TaskDetail>>;
  cancel(args: OneTask): Promise<Result<TaskRecord>>;
  /** A held or cancelled task waits again, with no attempts behind it. */
  requeue(args: OneTask): Promise<Result<TaskRecord>>;
  change(
    args: OneTask & { priority?: number | undefined; overlap?: number | undefined },
  ): Promise<Result<TaskRecord>>;
  assignments(
    filter: Omit<AssignmentFilter, 'projectId'> & { slug?: string | undefined },
    page: { before?: AssignmentRef | undefined; limit: number },
  ): Promise<Result<AssignmentRecord[]>>;
  revoke(args: {
    ref: AssignmentRef;
    reason?: string | undefined;
    actor: Actor;
  }): Promise<Result<{ ended: true }>>;
}

export function createTasksAdmin(context: AdminContext): TasksAdmin {
  const { control } = context.engine;
  return {
    list: (slug, filter, page) =>
      read(context, async (tx) => {
        const project = await readProject(tx, slug);
        return project === undefined ? noProject(slug) : ok(await listTasks(tx, project, filter, page));
      }),
    read: (slug, taskId) => readDetail(context, slug, taskId),
    cancel: (args) =>
      command(context, args, (project) => control.cancelTask(project.id, args.taskId, args.actor)),
    requeue: (args) =>
      command(context, args, (project) => control.requeueTask(project.id, args.taskId, args.actor)),
    change: (args) =>
      command(context, args, async (project) => {
        if (args.priority !== undefined) {
          const set = await control.setPriority(project.id, args.taskId, args.priority, args.actor);
          if (!set.ok) return set;
        }
        if (args.overlap === undefined) return ok(true);
        return control.setOverlap(project.id, args.taskId, args.overlap, args.actor);
      }),
    assignments: ({ slug, ...filter }, page) =>
      read(context, async (tx) => {
        if (slug === undefined) return ok(await listAssignments(tx, filter, page));
        const project = await readProject(tx, slug);
        if (project === undefined) return noProject(slug);
        return ok(await listAssignments(tx, { ...filter, projectId: project.id }, page));
      }),
    revoke: ({ ref, reason, actor }) => control.revoke(ref, actor, reason),
  };
}

/** A live command goes through the task's shard; what it left is read from the truth. */
async function command(
  context: AdminContext,
  { slug, taskId }: OneTask,
  act: (project: ProjectRecord) => Promise<Result<unknown>>,
): Promise<Result<TaskRecord>> {
  const project = await read(context, (tx) => readProject(tx, slug));
  if (project === undefined) return noProject(slug);
  const done = await act(project);
  if (!done.ok) return done;
  const found = await read(context, (tx) => readTask(tx, project.id, taskId));
  return found === undefined ? noTask(taskId) : ok(found.task);
}

function noTask(taskId: TaskId): Result<never> {
  return refuse('not_found', `There is no task ${taskId} in this project.`);
}

async function readDetail(context: AdminContext, slug: string, taskId: TaskId): Promise<Result<TaskDetail>> {
  return read(context, async (tx) => {
    const project = await readProject(tx, slug);
    if (project === undefined) return noProject(slug);
    const found = await readTask(tx, project.id, taskId);
    if (found === undefined) return noTask(taskId);
    const history = await readTaskHistory(tx, taskId, HISTORY_MAX + 1);
    const filter = { projectId: project.id, taskId };
    const assignments = await listAssignments(tx, filter, { limit: ASSIGNMENTS_MAX });
    const named = new Set<AssignmentId>(assignments.map((assignment) => assignment.ref.id));
    return ok({
      ...found,
      assignments,
      annotations: await listTaskAnnotations(tx, project.id, [...named]),
      history: history.slice(0, HISTORY_MAX),
      projectId: project.id,
      isTruncated: history.length > HISTORY_MAX,
    });
  });
}
