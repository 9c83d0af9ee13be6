import { z } from 'zod';
import type { HttpApp, HttpContext } from './app.ts';

const alive = z.object({ status: z.literal('ok') });
const readiness = z
  .object({
    ready: z.boolean(),
    engine: z.object({ ready: z.boolean(), why: z.string().optional() }),
    database: z.object({ ready: z.boolean() }),
  })
  .meta({ id: 'Readiness' });

export function healthRoutes(app: HttpApp, { engine, admin, config, metrics }: HttpContext): void {
  app.get(
    '/health/live',
    {
      config: { access: 'public', rateLimit: false },
      schema: { tags: ['health'], summary: 'The process answers.', response: { 200: alive } },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/health/ready',
    {
      config: { access: 'public', rateLimit: false },
      schema: {
        tags: ['health'],
        summary: 'The engine serves and the database answers, at this moment.',
        response: { 200: readiness, 503: readiness },
      },
    },
    async (_request, reply) => {
      const { ready, why } = engine.status();
      const database = await answersInTime(admin.probe(), config.probeTimeoutMs);
      const isReady = ready && database;
      return reply.status(isReady ? 200 : 503).send({
        ready: isReady,
        engine: { ready, ...(why === undefined ? {} : { why }) },
        database: { ready: database },
      });
    },
  );
  app.get(
    '/metrics',
    {
      config: { access: 'public', rateLimit: false },
      schema: {
        tags: ['health'],
        summary: 'Metrics for Prometheus.',
        response: { 200: { content: { 'text/plain': { schema: z.string() } } } },
      },
    },
    async (_request, reply) => {
      const text = await metrics.registry.metrics();
      return reply.type(metrics.registry.contentType).serializer(String).send(text);
    },
  );
}

async function answersInTime(probe: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  // A database that does not answer is what this asks about: the error itself says nothing more.
  const answered = probe.then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
