import { z } from 'zod';
import { API_LIMITS } from './limits.ts';
import { limit } from './paging.ts';
import { id, time } from './values.ts';

/** One transition. It never holds a task's data, a result or a name. */
export const event = z
  .object({
    cursor: z.string().meta({ description: 'The place after this event: pass it as `after`.' }),
    shard: z
      .number()
      .int()
      .meta({ description: 'The part of the project that it happened in; 0 if it has one.' }),
    event: z.string().meta({ description: 'What happened: `assigned`, `submitted`, `imported` …' }),
    at: time,
    taskId: id.nullable(),
    assignmentId: z.string().nullable(),
    annotatorId: id.nullable(),
    taskState: z.string().nullable(),
    assignmentState: z.string().nullable(),
    actor: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'Event' });

/** One number per shard, joined; those that are not named are 0. */
const FEED_CURSOR = new RegExp(`^(?:\\d{1,15}(?:\\.\\d{1,15}){0,${API_LIMITS.shardsMax - 1}}|latest)$`);

export const feedCursor = z.string().regex(FEED_CURSOR, 'must be a cursor of the feed, or "latest"');

export const eventQuery = z.strictObject({
  after: feedCursor.optional().meta({
    description: 'The last cursor that was read; absent: from the beginning; `latest`: only what is to come.',
  }),
  limit,
  waitMs: z.coerce.number().int().min(0).max(API_LIMITS.waitMsMax).default(0).meta({
    description: 'When there is nothing, wait this long for something.',
  }),
});

export const eventPage = z.object({
  events: z.array(event),
  cursor: z.string().meta({ description: 'Pass it as `after` next time.' }),
});
