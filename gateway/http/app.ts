import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Admin } from '../../engine/admin/index.ts';
import type { Engine } from '../../engine/door.ts';
import type { Authenticator, Principal, Role } from '../auth/principal.ts';
import type { HttpConfig } from './config.ts';
import type { FeedFollowers } from './feed-followers.ts';
import type { HttpMetrics } from './metrics.ts';

/** The server, as the files that add routes see it. */
export type HttpApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** What handlers stand on. */
export interface HttpContext {
  readonly engine: Engine;
  readonly admin: Admin;
  readonly authenticator: Authenticator;
  readonly config: HttpConfig;
  readonly followers: FeedFollowers;
  readonly metrics: HttpMetrics;
}

/** Who may call a route. There is no default: a route that does not say is not registered. */
export type RouteAccess = 'public' | readonly Role[];

export const ADMIN: readonly Role[] = ['admin'];
export const SUPERVISION: readonly Role[] = ['admin', 'supervisor'];
export const ANYBODY: readonly Role[] = ['admin', 'supervisor', 'annotator'];

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
  interface FastifyRequest {
    principal: Principal | null;
  }
}

/** @throws when the route is public: a handler there has nobody to ask for. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new Error('a public route asked who is calling');
  return request.principal;
}
