import { z } from 'zod';
import { API_LIMITS } from './limits.ts';

/** A place in a list, as a page's `next` gave it. It stays valid while rows come and go. */
export const cursor = z
  .string()
  .regex(/^[a-z]\d{1,16}(?:\.\d{1,16})?$/, 'must be a cursor of this list')
  .meta({ description: "The `next` of the page before. Opaque; another list's cursor is refused." });

export const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(API_LIMITS.pageMax)
  .default(API_LIMITS.pageDefault)
  .meta({ description: 'Items of the page, at most.' });

export const paging = { cursor: cursor.optional(), limit };

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    next: cursor.nullable().meta({ description: 'The cursor of the next page; null on the last.' }),
  });
}
