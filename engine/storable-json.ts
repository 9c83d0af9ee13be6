import type { Json } from './settings.ts';

/**
 * Text of a JSON value that Postgres will take, or what is wrong with it. jsonb refuses NUL characters and
 * lone surrogates, and one such value would fail the whole group commit that carries it.
 */
export function storableJson(
  value: Json,
  limits: { bytesMax: number; depthMax: number },
): { text: string } | { problem: string } {
  if (deeperThan(value, limits.depthMax)) return { problem: `nested deeper than ${limits.depthMax} levels` };
  const text = JSON.stringify(value);
  if (text === undefined) return { problem: 'not a JSON value' };
  if (text.length > limits.bytesMax || Buffer.byteLength(text) > limits.bytesMax) {
    return { problem: `larger than ${limits.bytesMax} bytes` };
  }
  // JSON.stringify escapes exactly the characters that jsonb refuses, so plain text has no backslash-u at all.
  if (/\\u(0000|d[89a-f])/.test(text) && /(?:^|[^\\])(?:\\\\)*\\u(0000|d[89a-f])/.test(text)) {
    return { problem: 'contains a NUL character or half of a surrogate pair' };
  }
  return { text };
}

/** Half of a surrogate pair: with the flag u, a whole pair is one character and does not match. */
const HALF_PAIRS = /\p{Cs}/gu;
const NUL = '\u0000';

/** Whether Postgres keeps this text as it is: one that it refuses would fail the whole group commit. */
export function isStorableText(text: string): boolean {
  return !text.includes(NUL) && text.search(HALF_PAIRS) < 0;
}

/** For what people wrote: it is kept without what cannot be kept. */
export function storableText(text: string): string {
  return text.replaceAll(NUL, '\ufffd').replace(HALF_PAIRS, '\ufffd');
}

function deeperThan(value: Json, depth: number): boolean {
  if (value === null || typeof value !== 'object') return false;
  if (depth === 0) return true;
  for (const child of Array.isArray(value) ? value : Object.values(value))
    if (deeperThan(child, depth - 1)) return true;
  return false;
}
