import type { HttpApp } from './app.ts';

const METHODS = 'GET, POST, PATCH, DELETE';
const HEADERS = 'authorization, content-type, last-event-id';
const EXPOSED = 'retry-after';
const PREFLIGHT_AGE_S = '600';

/**
 * Lets pages of the origins on the list call the API; other pages' requests are answered without the headers that a
 * browser asks for. Tokens travel in a header and there are no cookies, so credentials are never allowed.
 */
export function allowOrigins(app: HttpApp, allowed: readonly string[] | '*'): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('vary', 'origin');
    const { origin } = request.headers;
    if (origin === undefined || (allowed !== '*' && !allowed.includes(origin))) return;
    reply.header('access-control-allow-origin', allowed === '*' ? '*' : origin);
    reply.header('access-control-expose-headers', EXPOSED);
  });
  app.options('/*', { config: { access: 'public' }, schema: { hide: true } }, async (_request, reply) => {
    if (reply.hasHeader('access-control-allow-origin')) {
      reply.header('access-control-allow-methods', METHODS);
      reply.header('access-control-allow-headers', HEADERS);
      reply.header('access-control-max-age', PREFLIGHT_AGE_S);
    }
    return reply.status(204).send();
  });
}
