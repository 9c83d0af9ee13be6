import { z } from 'zod';
import { type AnnotatorId, asId, parseAssignmentRef, type TaskId } from '../../../engine/ids.ts';
import {
  assignment,
  assignmentQuery,
  assignmentRef,
  pageOf,
  revocation,
} from '../../../protocol/api/index.ts';
import { type HttpApp, type HttpContext, principalOf, SUPERVISION } from '../app.ts';
import { assignmentBefore, assignmentCursor } from '../paging.ts';
import { granted, ProblemError } from '../problem.ts';
import { assignmentView } from '../views.ts';

const tags = ['assignments'];

export function assignmentRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.get(
    '/api/assignments',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: 'List assignments, newest first.',
        querystring: assignmentQuery,
        response: { 200: pageOf(assignment) },
      },
    },
    async ({ query }) => {
      const filter = {
        slug: query.project,
        annotatorId: query.annotator === undefined ? undefined : asId<AnnotatorId>(query.annotator),
        taskId: query.taskId === undefined ? undefined : asId<TaskId>(query.taskId),
        states: query.state,
      };
      const page = { before: assignmentBefore(query.cursor), limit: query.limit };
      const rows = granted(await admin.tasks.assignments(filter, page));
      const last = rows.length < query.limit ? undefined : rows.at(-1);
      return {
        items: rows.map(assignmentView),
        next: last === undefined ? null : assignmentCursor(last.ref),
      };
    },
  );

  app.post(
    '/api/assignments/:assignmentId/revoke',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: 'Take a lease back. Its holder is told, and the draft is kept.',
        params: z.object({ assignmentId: assignmentRef }),
        body: revocation.nullish(),
        response: { 200: z.object({ ended: z.literal(true) }) },
      },
    },
    async (request) => {
      const ref = parseAssignmentRef(request.params.assignmentId);
      if (ref === undefined) throw new ProblemError('not_found');
      const { actor } = principalOf(request);
      return granted(await admin.tasks.revoke({ ref, reason: request.body?.reason, actor }));
    },
  );
}
