/**
 * Every expected "no" of the engine. A refusal is a value, never an exception: exceptions are bugs, bad
 * configuration or lost dependencies. `retryable` says whether the same message may succeed later, unchanged.
 */
export const REFUSALS = {
  // Retryable: nothing was changed that is not safe to repeat with the same ids.
  busy: { retryable: true, says: 'A limit was reached; try again after the time given.' },
  unavailable: { retryable: true, says: 'The database is away or the shard is moving; try again.' },
  // Work.
  unknown_assignment: { retryable: false, says: 'No such assignment of yours.' },
  lease_ended: {
    retryable: false,
    says: 'The lease has ended; what you sent is kept as your draft where possible.',
  },
  already_submitted: {
    retryable: false,
    says: 'This assignment was already submitted under another submission id.',
  },
  not_offered: { retryable: false, says: 'This assignment is not waiting to be accepted.' },
  not_accepted: { retryable: false, says: 'Accept the offer first.' },
  invalid_result: { retryable: false, says: "The result does not fit the project's result schema." },
  at_capacity: { retryable: false, says: 'You hold as many leases as your capacity allows.' },
  annotator_paused: { retryable: false, says: 'You are paused by a supervisor.' },
  annotator_banned: { retryable: false, says: 'You are banned.' },
  no_projects: { retryable: false, says: 'None of the projects named is open to you.' },
  // Control.
  not_found: { retryable: false, says: 'There is no such thing.' },
  conflict: { retryable: false, says: 'The request contradicts the present state.' },
  invalid: { retryable: false, says: 'The request is not valid.' },
  quarantined: { retryable: false, says: 'This task is quarantined: its state could not be advanced.' },
} as const satisfies Record<string, { retryable: boolean; says: string }>;

export type RefusalCode = keyof typeof REFUSALS;

export interface Refusal {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly message: string;
  readonly retryAfterMs?: number;
  /** Where it went wrong, for example the paths of a result that do not fit. Never contains task data. */
  readonly details?: readonly { path: string; message: string }[];
}

export type Result<T> = { readonly ok: true; readonly value: T } | Refusal;

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function refuse(
  code: RefusalCode,
  message: string = REFUSALS[code].says,
  more: { retryAfterMs?: number; details?: readonly { path: string; message: string }[] } = {},
): Refusal {
  return { ok: false, code, message, ...more };
}
