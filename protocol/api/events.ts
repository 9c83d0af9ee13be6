import { z } from 'zod';
import { API_LIMITS } from './limits.ts';
import { limit } from './paging.ts';
import { id, time } from './values.ts';

/** One transition. It never holds a task's data, a result or a name. */
export const event = z
  .object({
    cursor: z.string(),
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

export const feedCursor = z
  .string()
  .regex(/^(?:\d{1,15}|latest)$/, 'must be a cursor of the feed, or "latest"');

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
