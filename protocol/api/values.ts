import { z } from 'zod';
import { inspectJson, isStorableText, type JsonValue } from '../wire/index.ts';
import { API_LIMITS } from './limits.ts';

/** The values that several resources share. */

export type JsonObject = { [key: string]: JsonValue };

/** Text that Postgres can store: no U+0000, no half of a surrogate pair. */
export function text(lengthMax: number, lengthMin = 1) {
  return z
    .string()
    .min(lengthMin)
    .max(lengthMax)
    .refine(isStorableText, 'must not hold U+0000 or half a surrogate pair');
}

/** Numbers in a path or a query come as text. */
export const idParam = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
export const id = z.number().int().min(1);
/** A column of the database that is 32 bits wide: a larger number names nothing there. */
export const smallIdParam = z.coerce.number().int().min(1).max(2_147_483_647);

export const slug = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1-63 of a-z, 0-9 and -, not at either end')
  .meta({ description: 'The name of a project in addresses: 1-63 of a-z, 0-9 and -.' });

export const name = text(API_LIMITS.nameLengthMax);
export const externalId = text(API_LIMITS.externalIdLengthMax);
export const reason = text(API_LIMITS.reasonLengthMax);
export const time = z.iso.datetime().meta({ description: 'A time in UTC, ISO 8601.' });

/** `<project>-<number>`, as it is in a lease. */
export const assignmentRef = z
  .string()
  .regex(/^[1-9]\d{0,9}-[1-9]\d{0,14}$/, 'must be an assignment id such as 1-4096')
  .meta({ description: 'An assignment: `<project>-<number>`.' });

export const priority = z.number().int().min(-API_LIMITS.priorityMax).max(API_LIMITS.priorityMax);
export const overlap = z.number().int().min(1).max(API_LIMITS.overlapMax);
export const capacity = z.number().int().min(1).max(API_LIMITS.capacityMax);

export const skillName = text(API_LIMITS.skillNameLengthMax);
export const skillValue = z.number().min(0).max(100);

/** Any JSON. Where it comes from strangers, `inspectJson` looks into it: a schema would walk it by recursion. */
const anyJson: z.ZodType<JsonValue, JsonValue> = z.any();

/** An object of anything, no larger than `bytesMax` as compact JSON. */
export function jsonObject(bytesMax: number) {
  return z.record(z.string(), anyJson).superRefine((value, context) => {
    const inspection = inspectJson(value, bytesMax, API_LIMITS.jsonDepthMax);
    if (!inspection.ok) context.addIssue({ code: 'custom', message: inspection.problem.message });
  });
}

/** A query's flag. */
export const flag = z.enum(['true', 'false']).transform((word) => word === 'true');

/** A query's list: `a,b` or the parameter repeated. */
export function listOf<T extends z.ZodType<string, string>>(item: T) {
  return z
    .union([z.string(), z.array(z.string()).max(50)])
    .transform((value) => (typeof value === 'string' ? value.split(',') : value))
    .pipe(z.array(item).min(1).max(50));
}
