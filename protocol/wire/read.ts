import type { z } from 'zod';
import { type WireError, type WireErrorDetail, wireErrorOf } from '../errors.ts';
import { WIRE_LIMITS } from '../limits.ts';
import { isPlainObject } from './json.ts';
import { CLIENT_MESSAGES, type ClientEvent, type ClientMessages, TOO_LARGE } from './messages.ts';

export type Reading<Message> =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly error: WireError };

/**
 * Reads a message from a stranger. The error says where and why, never what was there (I9). An absent payload counts
 * as an empty object.
 */
export function readMessage<Event extends ClientEvent>(
  event: Event,
  payload: unknown,
): Reading<ClientMessages[Event]> {
  const value = payload === undefined || payload === null ? {} : payload;
  if (!isPlainObject(value))
    return { ok: false, error: wireErrorOf('malformed', 'The payload must be an object.') };
  if (Object.hasOwn(value, '__proto__'))
    return { ok: false, error: wireErrorOf('malformed', 'A key is named __proto__.') };
  const parsed = CLIENT_MESSAGES[event].safeParse(value);
  if (parsed.success) return { ok: true, message: parsed.data };
  const { issues } = parsed.error;
  const isTooLarge = issues.some((issue) => issue.code === 'custom' && issue.params?.problem === TOO_LARGE);
  return {
    ok: false,
    error: wireErrorOf(isTooLarge ? 'too_large' : 'malformed', undefined, { details: detailsOf(issues) }),
  };
}

function detailsOf(issues: readonly z.core.$ZodIssue[]): WireErrorDetail[] {
  return issues.slice(0, WIRE_LIMITS.errorDetailsMax).map((issue) => ({
    path: `/${issue.path.map(String).join('/')}`,
    message: issue.message,
  }));
}
