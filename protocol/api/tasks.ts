import { z } from 'zod';
import { assignment } from './assignments.ts';
import { event } from './events.ts';
import { paging } from './paging.ts';
import { requirements } from './requirement.ts';
import { externalId, id, listOf, overlap, priority, time } from './values.ts';

export const taskState = z.enum(['waiting', 'adjudicating', 'reviewing', 'held', 'complete', 'cancelled']);
export const holdCondition = z.enum(['attempts_used_up', 'supervisor', 'quarantined']);

const taskFields = {
  id,
  externalId: z.string().nullable(),
  state: taskState,
  hold: z.object({ condition: holdCondition, detail: z.string().nullable() }).nullable(),
  overlap: z.number().int(),
  filled: z.number().int().meta({ description: 'Counted answers.' }),
  open: z.number().int().meta({ description: 'Open leases.' }),
  attempts: z.number().int().meta({ description: 'Leases that ended without an answer.' }),
  priority: z.number().int(),
  requirements: z.array(z.unknown()).nullable(),
  createdAt: time,
  updatedAt: time,
};

/** A task without its data: lists do not carry payloads. */
export const taskSummary = z.object(taskFields).meta({ id: 'TaskSummary' });

export const taskAnnotation = z.object({
  assignmentId: z.string(),
  annotatorId: id,
  submissionId: z.string(),
  result: z.unknown(),
  counted: z.boolean(),
  leadTimeMs: z.number(),
  submittedAt: time,
});

export const taskDetail = z
  .object({
    ...taskFields,
    data: z.unknown().meta({ description: 'The payload, as it was imported.' }),
    assignments: z.array(assignment),
    annotations: z.array(taskAnnotation),
    history: z.array(event).meta({ description: 'Every transition, oldest first.' }),
    historyTruncated: z
      .boolean()
      .meta({ description: 'True when the history is longer than what is shown.' }),
  })
  .meta({ id: 'Task' });

export const taskQuery = z.strictObject({
  ...paging,
  state: listOf(taskState).optional().meta({ description: 'Some states: `waiting,held`.' }),
  hold: holdCondition.optional(),
  externalId: externalId.optional(),
  priority: z.coerce.number().int().min(-32_768).max(32_767).optional(),
  priorityMin: z.coerce.number().int().min(-32_768).max(32_767).optional(),
});

export const taskChange = z
  .strictObject({ priority: priority.optional(), overlap: overlap.optional() })
  .refine((change) => change.priority !== undefined || change.overlap !== undefined, 'must change something')
  .meta({ id: 'TaskChange' });

/** A task as it is imported. */
export const taskInput = z
  .strictObject({
    data: z.unknown().meta({ description: 'The payload: any JSON. Without this key the object itself is.' }),
    externalId: externalId.optional().meta({ description: 'Makes a repeated import create nothing twice.' }),
    priority: priority.optional(),
    overlap: overlap.optional(),
    requirements: requirements.optional(),
  })
  .meta({ id: 'NewTask' });

export const importAnswer = z
  .object({
    created: z.number().int(),
    duplicates: z.number().int().meta({ description: 'Tasks whose externalId was there before.' }),
    rejectedCount: z.number().int(),
    rejected: z.array(z.object({ line: z.number().int(), code: z.string(), message: z.string() })).meta({
      description: 'The first 1,000. `line` counts lines of the text, or elements of the array, from 1.',
    }),
  })
  .meta({ id: 'ImportAnswer' });
