import { z } from 'zod';

interface ErrorEntry {
  /** The HTTP status this error has when it answers an HTTP request. */
  readonly status: number;
  /** Whether the same message, with the same ids, may succeed later. */
  readonly retryable: boolean;
  /** The message when there is nothing more exact to say. */
  readonly says: string;
}

/**
 * The one catalogue of errors that leave the house, over WebSocket and HTTP alike. The engine's refusals come first and
 * say the same `retryable` as the engine does (this folder imports nothing of ours, so a test compares them); below
 * them is what only a gateway can say. A code is never renamed: clients branch on it.
 */
export const ERRORS = {
  // The engine's refusals.
  busy: { status: 503, retryable: true, says: 'A limit was reached; try again after the time given.' },
  unavailable: {
    status: 503,
    retryable: true,
    says: 'The database is away or the shard is moving; try again.',
  },
  unknown_assignment: { status: 404, retryable: false, says: 'No such assignment of yours.' },
  lease_ended: {
    status: 409,
    retryable: false,
    says: 'The lease has ended; what you sent is kept as your draft where possible.',
  },
  already_submitted: {
    status: 409,
    retryable: false,
    says: 'This assignment was already submitted under another submission id.',
  },
  not_offered: { status: 409, retryable: false, says: 'This assignment is not waiting to be accepted.' },
  not_accepted: { status: 409, retryable: false, says: 'Accept the offer first.' },
  invalid_result: {
    status: 422,
    retryable: false,
    says: "The result does not fit the project's result schema.",
  },
  at_capacity: { status: 409, retryable: false, says: 'You hold as many leases as your capacity allows.' },
  annotator_paused: { status: 403, retryable: false, says: 'You are paused by a supervisor.' },
  annotator_banned: { status: 403, retryable: false, says: 'You are banned.' },
  no_projects: { status: 404, retryable: false, says: 'None of the projects named is open to you.' },
  not_found: { status: 404, retryable: false, says: 'There is no such thing.' },
  conflict: { status: 409, retryable: false, says: 'The request contradicts the present state.' },
  invalid: { status: 422, retryable: false, says: 'The request is not valid.' },
  quarantined: {
    status: 409,
    retryable: false,
    says: 'This task is quarantined: its state could not be advanced.',
  },
  // A gateway's own.
  shutting_down: { status: 503, retryable: true, says: 'This node is stopping; reconnect.' },
  unauthorized: { status: 401, retryable: false, says: 'The token is missing, unknown, expired or revoked.' },
  forbidden: { status: 403, retryable: false, says: 'This token has no right to that.' },
  malformed: { status: 400, retryable: false, says: 'The message does not have the shape it must have.' },
  unknown_message: { status: 404, retryable: false, says: 'There is no message of this name.' },
  too_large: {
    status: 413,
    retryable: false,
    says: 'The message, or a part of it, is larger than the limit.',
  },
  unsupported_media_type: { status: 415, retryable: false, says: 'This content type is not read here.' },
  rate_limited: { status: 429, retryable: true, says: 'Too many messages; try again after the time given.' },
  too_many_connections: { status: 503, retryable: true, says: 'Too many connections; try again later.' },
  origin_refused: { status: 403, retryable: false, says: 'Pages of this origin may not connect.' },
  insufficient_storage: {
    status: 507,
    retryable: true,
    says: 'The disk is full; what was confirmed before is kept.',
  },
  internal: {
    status: 500,
    retryable: true,
    says: 'Something went wrong here; repeating with the same ids is safe.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

const ERROR_CODES = Object.keys(ERRORS);

export function isErrorCode(text: string): text is ErrorCode {
  return ERROR_CODES.includes(text);
}

/** Where a message or a result went wrong. Never contains what was in it. */
export const wireErrorDetail = z.object({ path: z.string(), message: z.string() });

/** An error as every client sees it. A newer server may send codes unknown here: `retryable` says what to do. */
export const wireError = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  retryAfterMs: z.number().nonnegative().optional(),
  details: z.array(wireErrorDetail).optional(),
});

export interface WireErrorDetail {
  readonly path: string;
  readonly message: string;
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds to wait before trying again, at least. */
  readonly retryAfterMs?: number;
  readonly details?: readonly WireErrorDetail[];
}

/** Builds a wire error from its code; what the code means comes from the catalogue. */
export function wireErrorOf(
  code: ErrorCode,
  message: string = ERRORS[code].says,
  more: {
    readonly retryAfterMs?: number | undefined;
    readonly details?: readonly WireErrorDetail[] | undefined;
  } = {},
): WireError {
  return {
    code,
    message,
    retryable: ERRORS[code].retryable,
    ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
    ...(more.details === undefined || more.details.length === 0 ? {} : { details: more.details }),
  };
}
