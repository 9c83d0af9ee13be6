import { z } from 'zod';
import { asId, type TaskId } from '../../../engine/ids.ts';
import {
  idParam,
  pageOf,
  slug,
  taskChange,
  taskDetail,
  taskQuery,
  taskSummary,
} from '../../../protocol/api/index.ts';
import { type HttpApp, type HttpContext, principalOf, SUPERVISION } from '../app.ts';
import { answerPage } from '../paging.ts';
import { granted } from '../problem.ts';
import { taskDetailView, taskView } from '../views.ts';

const project = z.object({ slug });
const oneTask = z.object({ slug, taskId: idParam });
const tags = ['tasks'];

export function taskRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.get(
    '/api/projects/:slug/tasks',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: 'List tasks, in the order of their import.',
        params: project,
        querystring: taskQuery,
        response: { 200: pageOf(taskSummary) },
      },
    },
    async ({ params, query }) => {
      const { state, hold, externalId, priority, priorityMin } = query;
      const filter = { states: state, hold, externalId, priority, priorityMin };
      return answerPage('tasks', query, (page) => admin.tasks.list(params.slug, filter, page), taskView);
    },
  );

  app.get(
    '/api/projects/:slug/tasks/:taskId',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: 'Read a task with its data, its assignments, its answers and its whole history.',
        params: oneTask,
        response: { 200: taskDetail },
      },
    },
    async ({ params }) =>
      taskDetailView(granted(await admin.tasks.read(params.slug, asId<TaskId>(params.taskId)))),
  );

  app.patch(
    '/api/projects/:slug/tasks/:taskId',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: "Change a task's priority or overlap, while it is worked on if need be.",
        description:
          'The priority is changed first: when the overlap is refused, the priority has been changed.',
        params: oneTask,
        body: taskChange,
        response: { 200: taskSummary },
      },
    },
    async (request) => {
      const { params, body } = request;
      const { actor } = principalOf(request);
      const args = { slug: params.slug, taskId: asId<TaskId>(params.taskId), actor };
      return taskView(granted(await admin.tasks.change({ ...args, ...body })));
    },
  );

  for (const [action, summary] of [
    ['cancel', 'Take a task out of work. Its open leases are revoked; its answers stay.'],
    ['requeue', 'Let a held or cancelled task wait again, with no attempts behind it.'],
  ] as const) {
    app.post(
      `/api/projects/:slug/tasks/:taskId/${action}`,
      {
        config: { access: SUPERVISION },
        schema: { tags, summary, params: oneTask, response: { 200: taskSummary } },
      },
      async (request) => {
        const { slug: project, taskId } = request.params;
        const { actor } = principalOf(request);
        const done = await admin.tasks[action]({ slug: project, taskId: asId<TaskId>(taskId), actor });
        return taskView(granted(done));
      },
    );
  }
}
