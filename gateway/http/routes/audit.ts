import { z } from 'zod';
import { auditEntry, pageOf, paging } from '../../../protocol/api/index.ts';
import { ADMIN, type HttpApp, type HttpContext } from '../app.ts';
import { answerPage } from '../paging.ts';
import { auditView } from '../views.ts';

export function auditRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.get(
    '/api/audit',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['audit'],
        summary: 'Who changed what by hand, oldest first.',
        description: "What is done to tasks and assignments is in their project's events.",
        querystring: z.strictObject(paging),
        response: { 200: pageOf(auditEntry) },
      },
    },
    ({ query }) => answerPage('audit', query, (page) => admin.audit(page), auditView),
  );
}
