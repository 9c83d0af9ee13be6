import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { faultOf } from '../../engine/admin/index.ts';
import type { Result } from '../../engine/refusals.ts';
import type { Problem } from '../../protocol/api/index.ts';
import { ERRORS, type ErrorCode } from '../../protocol/errors.ts';
import { describeError } from '../describe-error.ts';

const ERRORS_LISTED_MAX = 50;

/** What a problem says beside its code. */
export interface ProblemMore {
  readonly retryAfterMs?: number | undefined;
  readonly errors?: readonly { path: string; message: string }[] | undefined;
  readonly created?: number;
  readonly duplicates?: number;
  readonly rejectedCount?: number;
}

/** An answer that is a refusal. Thrown inside the HTTP side alone, to be written in one place. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly code: ErrorCode;
  readonly more: ProblemMore;

  constructor(code: ErrorCode, message: string = ERRORS[code].says, more: ProblemMore = {}) {
    super(message);
    this.code = code;
    this.more = more;
  }
}

/** The value of a result. @throws ProblemError for a refusal. */
export function granted<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new ProblemError(result.code, result.message, {
    retryAfterMs: result.retryAfterMs,
    errors: result.details,
  });
}

export function problemBody(error: ProblemError): Problem {
  const { status, retryable, says } = ERRORS[error.code];
  const { errors, retryAfterMs, ...counts } = error.more;
  return {
    type: `urn:baton:error:${error.code}`,
    title: says,
    status,
    detail: error.message,
    code: error.code,
    retryable,
    ...counts,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(errors === undefined ? {} : { errors: errors.slice(0, ERRORS_LISTED_MAX) }),
  };
}

export function sendProblem(reply: FastifyReply, error: ProblemError): FastifyReply {
  const body = problemBody(error);
  const retryAfterMs = error.more.retryAfterMs;
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  if (body.status === 401) reply.header('www-authenticate', 'Bearer');
  // As text: the route's own response schemas do not describe problems.
  return reply
    .status(body.status)
    .type('application/problem+json')
    .serializer(String)
    .send(JSON.stringify(body));
}

/** Turns whatever a handler threw into a problem, and logs what nobody expected: without the error's message (I9). */
export function problemHandler(retryAfterMs: number) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const problem = problemOf(error, retryAfterMs);
    if (problem.code === 'internal') {
      request.log.error({ ...describeError(error), route: request.routeOptions.url }, 'request failed');
    }
    return sendProblem(reply, problem);
  };
}

function problemOf(error: FastifyError | ProblemError, retryAfterMs: number): ProblemError {
  if (error instanceof ProblemError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) return malformedRequest(error);
  const fault = faultOf(error);
  if (fault === 'away') return new ProblemError('unavailable', undefined, { retryAfterMs });
  if (fault === 'clash') return new ProblemError('busy', undefined, { retryAfterMs });
  if (fault === 'disk_full') return new ProblemError('insufficient_storage', undefined, { retryAfterMs });
  return refusedByFastify(error) ?? new ProblemError('internal');
}

function refusedByFastify(error: FastifyError): ProblemError | undefined {
  const status = error.statusCode ?? 500;
  if (status === 413) return new ProblemError('too_large');
  if (status === 415) return new ProblemError('unsupported_media_type');
  if (status === 404 || status === 414) return new ProblemError('not_found');
  if (status === 429) return new ProblemError('rate_limited');
  if (status === 503) return new ProblemError('shutting_down');
  return status >= 400 && status < 500 ? new ProblemError('malformed') : undefined;
}

const PLACES: Readonly<Record<string, string>> = {
  body: '',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

interface Issue {
  readonly instancePath: string;
  readonly message?: string | undefined;
}

function malformedRequest(error: { validation: readonly Issue[]; validationContext?: string | undefined }) {
  const place = PLACES[error.validationContext ?? 'body'] ?? '';
  const errors = error.validation.map((issue) => {
    const steps = issue.instancePath.split('/').filter((step) => step !== '');
    return {
      path: [place, ...steps].filter((step) => step !== '').join('.'),
      message: issue.message ?? 'is not valid',
    };
  });
  return new ProblemError('malformed', 'The request does not have the shape it must have.', { errors });
}
