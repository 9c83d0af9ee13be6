import type { FastifyRequest } from 'fastify';
import { FailedLogins } from '../auth/failed-logins.ts';
import type { HttpApp, HttpContext } from './app.ts';
import { ProblemError } from './problem.ts';

const MINUTE_MS = 60_000;
const ADDRESSES_MAX = 10_000;

/** Plugins register their own pages under here; they show nothing that needs a token. */
const PUBLIC_PREFIX = '/docs';

/**
 * Every route says who may call it, or it is not registered; every call is let in by its token's role, or it is not.
 */
export function guardRoutes(
  app: HttpApp,
  { authenticator, config }: Pick<HttpContext, 'authenticator' | 'config'>,
) {
  const failedLogins = new FailedLogins({
    max: config.failedLoginsPerMinute,
    windowMs: MINUTE_MS,
    addressesMax: ADDRESSES_MAX,
    nowMs: () => performance.now(),
  });
  app.decorateRequest('principal', null);
  app.addHook('onRoute', (route) => {
    if (route.config?.access !== undefined) return;
    if (route.url === PUBLIC_PREFIX || route.url.startsWith(`${PUBLIC_PREFIX}/`)) {
      route.config = { ...route.config, access: 'public' };
    } else throw new Error(`the route ${String(route.method)} ${route.url} does not say who may call it`);
  });
  app.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config;
    if (request.is404 || access === 'public') return;
    const blockedForMs = failedLogins.blockedForMs(request.ip);
    if (blockedForMs > 0) {
      throw new ProblemError('rate_limited', 'Too many wrong tokens.', { retryAfterMs: blockedForMs });
    }
    const token = bearerToken(request);
    const principal = token === undefined ? undefined : await authenticator.authenticate(token);
    if (principal === undefined) {
      if (token !== undefined) failedLogins.add(request.ip);
      throw new ProblemError('unauthorized');
    }
    request.principal = principal;
    if (access === undefined || !access.includes(principal.role)) throw new ProblemError('forbidden');
  });
}

export function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
}
