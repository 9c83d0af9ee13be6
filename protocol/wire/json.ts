import { WIRE_LIMITS } from '../limits.ts';

/** A JSON value: a task's data, a draft, a result. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

export interface JsonProblem {
  readonly code: 'malformed' | 'too_large';
  readonly message: string;
}

export type JsonInspection =
  | { readonly ok: true; readonly bytes: number }
  | { readonly ok: false; readonly problem: JsonProblem };

/**
 * Checks a value from a stranger before it goes anywhere, and measures it as compact JSON in UTF-8, in one walk that
 * needs no stack. Refused beside what is too large or too deep: what is not JSON (binary attachments, infinite
 * numbers), a `__proto__` key, and text that Postgres cannot store (U+0000, half a surrogate pair), because there
 * one such value would fail the whole commit that carries it.
 */
export function inspectJson(
  value: unknown,
  bytesMax: number,
  depthMax: number = WIRE_LIMITS.jsonDepthMax,
): JsonInspection {
  const waiting: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  let bytes = 0;
  for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
    const depth = entry.depth + 1;
    const item = entry.value;
    if (typeof item === 'string') {
      const length = jsonStringBytes(item);
      if (length === undefined) return malformed('Text holds U+0000 or half a surrogate pair.');
      bytes += length;
    } else if (item === null || typeof item === 'boolean') {
      bytes += item === false ? 5 : 4;
    } else if (typeof item === 'number') {
      if (!Number.isFinite(item)) return malformed('A number is not finite.');
      bytes += String(item).length;
    } else if (Array.isArray(item)) {
      if (depth > depthMax) return tooDeep(depthMax);
      bytes += 2 + Math.max(0, item.length - 1);
      if (bytes > bytesMax) return tooLarge(bytesMax);
      for (const child of item) waiting.push({ value: child, depth });
    } else if (isPlainObject(item)) {
      if (depth > depthMax) return tooDeep(depthMax);
      const keys = Object.keys(item);
      bytes += 2 + Math.max(0, keys.length - 1) + keys.length;
      for (const key of keys) {
        if (key === '__proto__') return malformed('A key is named __proto__.');
        const length = jsonStringBytes(key);
        if (length === undefined) return malformed('A key holds U+0000 or half a surrogate pair.');
        bytes += length;
        waiting.push({ value: item[key], depth });
      }
    } else {
      return malformed('A value is not JSON.');
    }
    if (bytes > bytesMax) return tooLarge(bytesMax);
  }
  return { ok: true, bytes };
}

/** Whether Postgres can store this text. */
export function isStorableText(text: string): boolean {
  return jsonStringBytes(text) !== undefined;
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** @returns bytes of the text as a JSON string, quotes included, or undefined when Postgres cannot store it. */
function jsonStringBytes(text: string): number | undefined {
  let bytes = 2;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0) return undefined;
    if (unit < 0x20) bytes += isShortEscape(unit) ? 2 : 6;
    else if (unit === 0x22 || unit === 0x5c) bytes += 2;
    else if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3;
    else {
      const next = text.charCodeAt(i + 1);
      const isPair = unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff;
      if (!isPair) return undefined;
      bytes += 4;
      i++;
    }
  }
  return bytes;
}

/** Backspace, tab, line feed, form feed and carriage return are written with two characters. */
function isShortEscape(unit: number): boolean {
  return unit === 8 || unit === 9 || unit === 10 || unit === 12 || unit === 13;
}

function malformed(message: string): JsonInspection {
  return { ok: false, problem: { code: 'malformed', message } };
}

function tooDeep(depthMax: number): JsonInspection {
  return malformed(`It nests deeper than ${depthMax} levels.`);
}

function tooLarge(bytesMax: number): JsonInspection {
  return { ok: false, problem: { code: 'too_large', message: `It is larger than ${bytesMax} bytes.` } };
}
