import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Admin } from '../../engine/admin/index.ts';
import type { Engine } from '../../engine/door.ts';
import { API_LIMITS } from '../../protocol/api/index.ts';
import type { Authenticator } from '../auth/principal.ts';
import { guardRoutes } from './access.ts';
import type { HttpApp, HttpContext } from './app.ts';
import { DEFAULT_HTTP_CONFIG, type HttpConfig } from './config.ts';
import { allowOrigins } from './cors.ts';
import { FeedFollowers } from './feed-followers.ts';
import { healthRoutes } from './health.ts';
import { readJsonBodies } from './json-body.ts';
import { createMetrics } from './metrics.ts';
import { describeApi } from './openapi.ts';
import { ProblemError, problemBody, problemHandler, sendProblem } from './problem.ts';
import { annotationRoutes } from './routes/annotations.ts';
import { annotatorRoutes, memberRoutes } from './routes/annotators.ts';
import { assignmentRoutes } from './routes/assignments.ts';
import { auditRoutes } from './routes/audit.ts';
import { eventRoutes } from './routes/events.ts';
import { importRoutes } from './routes/imports.ts';
import { projectRoutes } from './routes/projects.ts';
import { taskRoutes } from './routes/tasks.ts';
import { keyRoutes, meRoutes, tokenRoutes } from './routes/tokens.ts';

export type { HttpApp } from './app.ts';
export { DEFAULT_HTTP_CONFIG, type HttpConfig } from './config.ts';

const PARAM_LENGTH_MAX = 300;
const MINUTE_MS = 60_000;
const RATE_KEYS_MAX = 10_000;

export interface HttpOptions {
  readonly engine: Engine;
  readonly admin: Admin;
  readonly authenticator: Authenticator;
  /** Redacts nothing by itself and needs not: it is given routes, statuses and times, never a URL, body or header. */
  readonly logger: Logger;
  readonly config?: Partial<HttpConfig>;
  /** A registry for /metrics that others add to; without one there is one with Node's own metrics. */
  readonly registry?: Registry;
  /** `health`: a process that is no gateway answers nothing but /health and /metrics. */
  readonly parts?: 'all' | 'health';
}

/**
 * The HTTP side: the API under /api, /docs, /health and /metrics. It does not listen yet; `app.server` is the server
 * that WebSockets attach to. `app.close()` ends waiting readers of feeds and lets other requests finish.
 */
export async function createHttp(options: HttpOptions): Promise<HttpApp> {
  const config: HttpConfig = { ...DEFAULT_HTTP_CONFIG, ...options.config };
  const app = newServer(options.logger, config);
  const followers = new FeedFollowers(options.engine, config.feedFollowersMax);
  const metrics = createMetrics(app, options.engine, options.registry);
  const context: HttpContext = { ...options, config, followers, metrics };
  endOnClose(app, config, followers);
  logResponses(app);
  await app.register(helmet, { contentSecurityPolicy: { useDefaults: true } });
  allowOrigins(app, config.allowedOrigins);
  guardRoutes(app, context);
  await limitRates(app, config);
  await describeApi(app, config.version);
  readJsonBodies(app);
  addRoutes(app, context, options.parts ?? 'all');
  await app.ready();
  return app;
}

function newServer(logger: FastifyBaseLogger, config: HttpConfig): HttpApp {
  const app = Fastify({
    loggerInstance: logger,
    // Fastify's own lines hold URLs, whose queries may name people.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: API_LIMITS.bodyBytesMax,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    connectionTimeout: config.idleTimeoutMs,
    // Its own refusal is no problem of ours: see endOnClose.
    return503OnClosing: false,
    trustProxy: config.trustProxy,
    // A URL that cannot be decoded never reaches a route, nor its error handler.
    frameworkErrors: (_error, _request, reply) => {
      sendProblem(reply, new ProblemError('malformed', 'The URL cannot be read.'));
    },
    clientErrorHandler(_error, socket) {
      if (!socket.writable) return;
      const body = JSON.stringify(problemBody(new ProblemError('malformed', 'This is not HTTP.')));
      const head = `HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close`;
      socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(problemHandler(config.retryAfterMs));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, new ProblemError('not_found')));
  return app;
}

/**
 * What comes while the server closes is refused, and may be asked elsewhere. A connection that is kept after its last answer
 * would hold up the close until it times out.
 */
function endOnClose(app: HttpApp, { retryAfterMs }: HttpConfig, followers: FeedFollowers): void {
  let isClosing = false;
  app.addHook('preClose', async () => {
    isClosing = true;
    followers.stop();
  });
  app.addHook('onRequest', async (_request, reply) => {
    if (isClosing) return sendProblem(reply, new ProblemError('shutting_down', undefined, { retryAfterMs }));
  });
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing) reply.header('connection', 'close');
  });
}

function logResponses(app: HttpApp): void {
  app.addHook('onResponse', async (request, reply) => {
    const { url: route, config } = request.routeOptions;
    const level = config.access === 'public' ? 'debug' : 'info';
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    const actor = request.principal?.actor;
    request.log[level]({ method: request.method, route, status: reply.statusCode, ms, actor }, 'request');
  });
}

async function limitRates(app: HttpApp, config: HttpConfig): Promise<void> {
  await app.register(rateLimit, {
    max: config.requestsPerMinute,
    timeWindow: MINUTE_MS,
    cache: RATE_KEYS_MAX,
    keyGenerator: (request) =>
      request.principal === null ? `address ${request.ip}` : `token ${request.principal.tokenId}`,
    errorResponseBuilder: (_request, limit) =>
      new ProblemError('rate_limited', undefined, { retryAfterMs: limit.ttl }),
  });
}

function addRoutes(app: HttpApp, context: HttpContext, parts: 'all' | 'health'): void {
  healthRoutes(app, context);
  if (parts === 'health') return;
  meRoutes(app, context);
  projectRoutes(app, context);
  memberRoutes(app, context);
  taskRoutes(app, context);
  assignmentRoutes(app, context);
  annotatorRoutes(app, context);
  tokenRoutes(app, context);
  keyRoutes(app, context);
  annotationRoutes(app, context);
  eventRoutes(app, context);
  auditRoutes(app, context);
  app.register((scope) => importRoutes(scope, context));
}
