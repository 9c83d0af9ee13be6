import type { AnnotatorId } from '../../engine/ids.ts';
import { type ErrorCode, type WireError, wireErrorOf } from '../../protocol/errors.ts';
import { WIRE_LIMITS } from '../../protocol/limits.ts';
import type { FailedLogins } from '../auth/failed-logins.ts';
import type { Authenticator } from '../auth/principal.ts';
import { describeError } from '../describe-error.ts';
import type { SocketConfig } from './config.ts';
import type { SocketLogger } from './logger.ts';
import type { Registry } from './registry.ts';

/** Reaches the client as `connect_error`, with the wire error under `err.data`. */
export class AdmissionError extends Error {
  readonly data: WireError;

  constructor(code: ErrorCode, retryAfterMs?: number, message?: string) {
    const data = wireErrorOf(code, message, { retryAfterMs });
    super(data.message);
    this.name = 'AdmissionError';
    this.data = data;
  }
}

export interface Handshake {
  readonly origin: string | undefined;
  readonly host: string | undefined;
  /** The address that the connection comes from. */
  readonly address: string;
  /** As the client sent it. */
  readonly token: unknown;
}

export interface Admitted {
  readonly annotatorId: AnnotatorId;
  readonly token: string;
  readonly tokenId: number;
}

export interface AdmissionServices {
  readonly authenticator: Authenticator;
  readonly failedLogins: FailedLogins;
  readonly registry: Registry;
  readonly logger: SocketLogger;
  readonly config: SocketConfig;
  /** 0 to 1: those who are refused together come back one by one. */
  readonly random: () => number;
}

/**
 * Decides whether a connection may join: its page's origin, room, its address, its token, its role, in this order.
 *
 * @throws AdmissionError
 */
export async function admit(handshake: Handshake, services: AdmissionServices): Promise<Admitted> {
  const { config, registry, failedLogins } = services;
  if (!isOriginAllowed(handshake, config.allowedOrigins)) throw new AdmissionError('origin_refused');
  if (registry.size >= config.maxConnections)
    throw new AdmissionError('too_many_connections', fullRetryMs(services));
  const { token, address } = handshake;
  const blockedForMs = failedLogins.blockedForMs(address);
  if (blockedForMs > 0) throw new AdmissionError('rate_limited', blockedForMs, 'Too many wrong tokens.');
  if (typeof token !== 'string' || token.length === 0 || token.length > WIRE_LIMITS.tokenLengthMax) {
    throw new AdmissionError('unauthorized');
  }
  const principal = await services.authenticator.authenticate(token).catch((error: unknown) => {
    services.logger.warn(describeError(error), 'token not checked');
    throw new AdmissionError('unavailable', config.retryAfterMs);
  });
  if (principal === undefined) {
    failedLogins.add(address);
    throw new AdmissionError('unauthorized');
  }
  if (principal.role !== 'annotator' || principal.annotatorId === null) throw new AdmissionError('forbidden');
  if (registry.countOf(principal.annotatorId) >= config.maxConnectionsPerAnnotator) {
    throw new AdmissionError('too_many_connections', config.retryAfterMs);
  }
  return { annotatorId: principal.annotatorId, token, tokenId: principal.tokenId };
}

/** Nobody knows when there is a place again: those who are refused together are only spread. */
export function fullRetryMs({ config, random }: Pick<AdmissionServices, 'config' | 'random'>): number {
  return Math.round(config.fullRetryMs * (1 + random()));
}

/** A browser says the page's origin and cannot be made to lie; a program that says none carries its token knowingly. */
function isOriginAllowed(handshake: Handshake, allowed: SocketConfig['allowedOrigins']): boolean {
  const { origin, host } = handshake;
  if (origin === undefined || allowed === '*' || allowed.includes(origin)) return true;
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
