import { z } from 'zod';
import type { ExportedAnnotation } from '../../../engine/admin/index.ts';
import { type AnnotatorId, asId, type TaskId } from '../../../engine/ids.ts';
import { annotation, annotationQuery, slug } from '../../../protocol/api/index.ts';
import { type HttpApp, type HttpContext, SUPERVISION } from '../app.ts';
import { EXPORT_TYPES, formatExport } from '../export-format.ts';
import { granted } from '../problem.ts';
import { answerWith } from '../stream-answer.ts';

export function annotationRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.get(
    '/api/projects/:slug/annotations',
    {
      config: { access: SUPERVISION },
      schema: {
        tags: ['annotations'],
        summary: 'Export the answers, streamed.',
        description: [
          'One snapshot of all answers, in the order of their assignments. An answer that breaks off in the middle',
          'ends the connection, so what arrived whole is whole. In CSV the result is JSON text, and text that a',
          'spreadsheet would run as a formula has an apostrophe in front.',
        ].join(' '),
        params: z.object({ slug }),
        querystring: annotationQuery,
        response: {
          200: {
            description: 'The answers.',
            content: {
              'application/x-ndjson': { schema: annotation },
              'application/json': { schema: z.array(annotation) },
              'text/csv': { schema: z.string() },
            },
          },
        },
      },
    },
    async ({ params, query }, reply) => {
      const filter = {
        counted: query.counted,
        annotatorId: query.annotator === undefined ? undefined : asId<AnnotatorId>(query.annotator),
        taskId: query.taskId === undefined ? undefined : asId<TaskId>(query.taskId),
      };
      const rows = await withFirst(granted(await admin.exportAnnotations(params.slug, filter)));
      const file = `${params.slug}-annotations.${query.format}`;
      reply.type(EXPORT_TYPES[query.format]).header('content-disposition', `attachment; filename="${file}"`);
      return answerWith(reply, formatExport(rows, query.format));
    },
  );
}

/** Reads the first row before the answer begins: a database that is away is then a 503 and not a broken stream. */
async function withFirst(
  rows: AsyncGenerator<ExportedAnnotation>,
): Promise<AsyncIterable<ExportedAnnotation>> {
  const first = await rows.next();
  return (async function* () {
    try {
      if (first.done === true) return;
      yield first.value;
      yield* rows;
    } finally {
      await rows.return(undefined);
    }
  })();
}
