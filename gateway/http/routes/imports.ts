import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ImportReport, ImportRow } from '../../../engine/admin/index.ts';
import { importAnswer, slug } from '../../../protocol/api/index.ts';
import { ADMIN, type HttpApp, type HttpContext, principalOf } from '../app.ts';
import { readCsv } from '../import/csv.ts';
import { readJsonArray } from '../import/json-array.ts';
import { readNdjson } from '../import/ndjson.ts';
import { granted, ProblemError } from '../problem.ts';

const DELIMITERS = { comma: ',', semicolon: ';', tab: '\t' } as const;

const query = z.strictObject({
  delimiter: z.enum(['comma', 'semicolon', 'tab']).default('comma').meta({ description: 'Of a CSV.' }),
});

export const IMPORT_URL = '/api/projects/:slug/tasks';
export const IMPORT_TYPES = ['application/json', 'application/x-ndjson', 'text/csv'] as const;

/**
 * Takes tasks in, as many as come, in constant memory: the body is read as fast as Postgres takes the rows. This
 * plugin has its own scope, because nothing may read these bodies before.
 */
export async function importRoutes(app: HttpApp, { admin, metrics, config }: HttpContext): Promise<void> {
  app.removeAllContentTypeParsers();
  for (const type of IMPORT_TYPES) {
    app.addContentTypeParser(type, (_request, payload, done) => done(null, payload));
  }
  app.post(
    IMPORT_URL,
    {
      config: { access: ADMIN },
      schema: {
        tags: ['tasks'],
        summary: 'Import tasks.',
        description: [
          'A JSON array, one JSON object per line (NDJSON), or a CSV with a header; any size. Each task is',
          '`{data, externalId?, priority?, overlap?, requirements?}`. An object without the key `data` is the data',
          'itself; its keys `externalId` (or `external_id`, or `id`), `priority` and `overlap` then say how to treat',
          'it. In a CSV every other column is data, as text. A task whose `externalId` the project has already is a',
          'duplicate and changes nothing, so an import that was cut off is repeated as it is. A row that cannot be a',
          'task is reported by its number and the rest goes on. When the answer is a problem, `created` says how many',
          'tasks stay.',
        ].join(' '),
        params: z.object({ slug }),
        querystring: query,
        response: { 200: importAnswer },
      },
    },
    async (request) => {
      const rows = rowsOf(request, DELIMITERS[request.query.delimiter]);
      const { actor } = principalOf(request);
      const report = granted(await admin.imports.run({ slug: request.params.slug, rows, actor }));
      metrics.importedTasks.inc({ outcome: 'created' }, report.created);
      metrics.importedTasks.inc({ outcome: 'duplicate' }, report.duplicates);
      metrics.importedTasks.inc({ outcome: 'rejected' }, report.rejectedCount);
      if (report.stopped !== undefined) throw stoppedProblem(report, report.stopped, config.retryAfterMs);
      const { created, duplicates, rejectedCount, rejected } = report;
      return { created, duplicates, rejectedCount, rejected: rejected.map((row) => ({ ...row })) };
    },
  );
}

function rowsOf(request: FastifyRequest, delimiter: string): AsyncIterable<readonly ImportRow[]> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new ProblemError('unsupported_media_type', 'Send the body without a content encoding.');
  }
  const source = piecesOf(request.raw);
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('text/csv')) return readCsv(source, delimiter);
  if (type.startsWith('application/x-ndjson')) return readNdjson(source);
  if (type.startsWith('application/json')) return readJsonArray(source);
  throw new ProblemError('unsupported_media_type', `Send one of ${IMPORT_TYPES.join(', ')}.`);
}

/**
 * The body, piece by piece. When the import stops early the request is left open, or the answer that says so would
 * not reach its client: what is still coming is read and thrown away.
 */
async function* piecesOf(raw: IncomingMessage): AsyncGenerator<Buffer> {
  const pieces: AsyncIterable<Buffer> = raw.iterator({ destroyOnReturn: false });
  try {
    yield* pieces;
  } finally {
    raw.resume();
  }
}

function stoppedProblem(
  report: ImportReport,
  stop: NonNullable<ImportReport['stopped']>,
  retryAfterMs: number,
): ProblemError {
  const { created, duplicates, rejectedCount } = report;
  const counts = { created, duplicates, rejectedCount };
  const kept = `${created} tasks were created and stay.`;
  switch (stop.why) {
    case 'broken':
      return new ProblemError('malformed', `${stop.message} ${kept}`, {
        ...counts,
        errors: [{ path: String(stop.line), message: stop.message }],
      });
    case 'disk_full':
      return new ProblemError('insufficient_storage', `The database has no room left. ${kept}`, {
        ...counts,
        retryAfterMs,
      });
    case 'away':
      return new ProblemError('unavailable', `The database went away. ${kept}`, { ...counts, retryAfterMs });
    case 'archived':
      return new ProblemError('conflict', `The project was archived meanwhile. ${kept}`, counts);
    case 'source':
      return new ProblemError('malformed', `The body ended early. ${kept}`, counts);
  }
}
