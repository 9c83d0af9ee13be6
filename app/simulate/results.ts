import { z } from 'zod';
import type { JsonValue } from '../../client/index.ts';
import type { Random } from './random.ts';

/** How deep a made-up result may nest: a schema may refer to itself. */
const DEPTH_MAX = 12;
const ITEMS_EXTRA_MAX = 2;
const WORDS = ['clear', 'partly', 'unsure', 'good', 'wrong', 'long', 'short', 'mixed'] as const;

const object = z.record(z.string(), z.unknown());
const json = z.json();

/**
 * A plausible result for a project's result schema: constants, enumerations, booleans, numbers, texts, arrays and objects, local
 * references and alternatives. What it cannot know (a pattern) the server refuses, and then the task is skipped.
 *
 * @param schema a JSON Schema, or null for anything.
 */
export function inventResult(schema: unknown, random: Random): JsonValue {
  if (schema === null || schema === undefined) return { answer: random.pick(WORDS) ?? 'clear' };
  return invent(schema, { root: schema, random, depth: 0 });
}

/**
 * Puts a recorded value into the form that the schema asks for: as it is, or as the one property of an object that
 * takes it. Numbers that were recorded as text become numbers where the schema wants those.
 */
export function shapeResult(value: JsonValue, schema: unknown): JsonValue {
  const shape = resolve(schema, schema);
  if (shape === undefined || isPlain(value)) return value;
  const properties = object.safeParse(shape.properties);
  if (!properties.success || typeOf(shape) !== 'object') return converted(value, shape);
  const required = z.array(z.string()).catch([]).parse(shape.required);
  const names = [...required, ...Object.keys(properties.data).filter((name) => !required.includes(name))];
  for (const name of names) {
    const inner = resolve(properties.data[name], schema);
    if (inner === undefined) continue;
    const candidate = converted(value, inner);
    if (admits(inner, candidate)) return { [name]: candidate };
  }
  return value;
}

interface Place {
  readonly root: unknown;
  readonly random: Random;
  readonly depth: number;
}

function invent(schema: unknown, place: Place): JsonValue {
  const shape = resolve(schema, place.root);
  if (shape === undefined || place.depth > DEPTH_MAX) return null;
  if (Object.hasOwn(shape, 'const')) return json.catch(null).parse(shape.const);
  if (Array.isArray(shape.enum)) return json.catch(null).parse(place.random.pick(shape.enum));
  const branches = shape.oneOf ?? shape.anyOf;
  if (Array.isArray(branches))
    return invent(place.random.pick(branches), { ...place, depth: place.depth + 1 });
  switch (typeOf(shape)) {
    case 'boolean':
      return place.random.chance(0.5);
    case 'integer':
    case 'number':
      return inventNumber(shape, place.random);
    case 'string':
      return inventText(shape, place.random);
    case 'array':
      return inventArray(shape, place);
    case 'object':
      return inventObject(shape, place);
    default:
      return null;
  }
}

function inventNumber(shape: Record<string, unknown>, random: Random): number {
  const isWhole = typeOf(shape) === 'integer';
  const stepSize = numberOf(shape.multipleOf) ?? (isWhole ? 1 : undefined);
  const exclusiveBy = stepSize ?? 1e-6;
  const above = numberOf(shape.exclusiveMinimum);
  const low = numberOf(shape.minimum) ?? (above === undefined ? undefined : above + exclusiveBy);
  const below = numberOf(shape.exclusiveMaximum);
  const high = numberOf(shape.maximum) ?? (below === undefined ? undefined : below - exclusiveBy);
  const from = low ?? Math.min(0, high ?? 0);
  const to = Math.max(from, high ?? from + 100);
  if (stepSize === undefined) return random.between(from, to);
  const first = Math.ceil(from / stepSize);
  return random.whole(first, Math.max(first, Math.floor(to / stepSize))) * stepSize;
}

function inventText(shape: Record<string, unknown>, random: Random): string {
  if (shape.format === 'date') return '2024-05-17';
  if (shape.format === 'date-time') return '2024-05-17T10:20:30Z';
  if (shape.format === 'uri') return 'https://example.org/';
  if (shape.format === 'email') return 'someone@example.org';
  const min = numberOf(shape.minLength) ?? 1;
  const max = numberOf(shape.maxLength) ?? Math.max(min, 200);
  let text: string = random.pick(WORDS) ?? '';
  while (text.length < min) text += ` ${random.pick(WORDS) ?? ''}`;
  return text.slice(0, max);
}

function inventArray(shape: Record<string, unknown>, place: Place): JsonValue {
  const min = numberOf(shape.minItems) ?? 0;
  const max = Math.min(numberOf(shape.maxItems) ?? Number.POSITIVE_INFINITY, min + ITEMS_EXTRA_MAX);
  const inner = { ...place, depth: place.depth + 1 };
  const items = Array.from({ length: place.random.whole(min, max) }, () =>
    invent(shape.items ?? { type: 'string' }, inner),
  );
  if (shape.uniqueItems !== true) return items;
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()];
}

function inventObject(shape: Record<string, unknown>, place: Place): JsonValue {
  const properties = object.catch({}).parse(shape.properties);
  const required = z.array(z.string()).catch([]).parse(shape.required);
  const inner = { ...place, depth: place.depth + 1 };
  const names = Object.keys(properties).filter((name) => required.includes(name) || place.random.chance(0.5));
  return Object.fromEntries(names.map((name) => [name, invent(properties[name], inner)]));
}

/** The schema itself, behind its local references; undefined for what is no object (`true`, a foreign reference). */
function resolve(schema: unknown, root: unknown): Record<string, unknown> | undefined {
  let shape: unknown = schema;
  for (let hops = 0; hops <= DEPTH_MAX; hops++) {
    const parsed = object.safeParse(shape);
    if (!parsed.success) return undefined;
    const reference = parsed.data.$ref;
    if (typeof reference !== 'string') return parsed.data;
    shape = reference.startsWith('#') ? at(root, reference.slice(1)) : undefined;
  }
  return undefined;
}

function at(root: unknown, pointer: string): unknown {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  return keys.reduce<unknown>((node, key) => object.catch({}).parse(node)[key], root);
}

function typeOf(shape: Record<string, unknown>): unknown {
  if (Array.isArray(shape.type)) return shape.type.find((type) => type !== 'null');
  return shape.type ?? (shape.properties === undefined ? undefined : 'object');
}

function converted(value: JsonValue, shape: Record<string, unknown>): JsonValue {
  const type = typeOf(shape);
  const wantsNumber =
    type === 'number' ||
    type === 'integer' ||
    (Array.isArray(shape.enum) && typeof shape.enum[0] === 'number');
  if (!wantsNumber || typeof value !== 'string' || value.trim() === '') return value;
  const number = Number(value);
  return Number.isFinite(number) ? number : value;
}

/** Whether this part of the schema may well be meant for the value. */
function admits(shape: Record<string, unknown>, value: JsonValue): boolean {
  if (Object.hasOwn(shape, 'const')) return shape.const === value;
  if (Array.isArray(shape.enum)) return shape.enum.includes(value);
  switch (typeOf(shape)) {
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isPlain(value);
    case undefined:
      return true;
    default:
      return typeOf(shape) === typeof value;
  }
}

function isPlain(value: JsonValue): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
