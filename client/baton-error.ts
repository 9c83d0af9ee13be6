import type { WireErrorDetail } from '../protocol/errors.ts';

/**
 * Why a call failed. `code` is one of the protocol's, or one that arises on this side: `closed` (the client was
 * closed), `aborted` (the call's signal), `timed_out` (no answer while there was patience), `disconnected` (the
 * connection went while the call was in flight), `unreadable` (an answer that is not in the protocol).
 */
export class BatonError extends Error {
  readonly code: string;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** Milliseconds to wait before that, at least. */
  readonly retryAfterMs: number | undefined;
  readonly details: readonly WireErrorDetail[];

  constructor(args: {
    code: string;
    message: string;
    retryable: boolean;
    retryAfterMs?: number | undefined;
    details?: readonly WireErrorDetail[] | undefined;
  }) {
    super(args.message);
    this.name = 'BatonError';
    this.code = args.code;
    this.retryable = args.retryable;
    this.retryAfterMs = args.retryAfterMs;
    this.details = args.details ?? [];
  }
}

export function closedError(): BatonError {
  return new BatonError({ code: 'closed', message: 'The client is closed.', retryable: false });
}

export function abortedError(): BatonError {
  return new BatonError({ code: 'aborted', message: 'The call was aborted.', retryable: false });
}

export function timedOutError(): BatonError {
  return new BatonError({ code: 'timed_out', message: 'No answer came in time.', retryable: true });
}

export function disconnectedError(): BatonError {
  return new BatonError({ code: 'disconnected', message: 'The connection went.', retryable: true });
}
