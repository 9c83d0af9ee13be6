import { z } from 'zod';
import { flag, id, idParam, smallIdParam, time } from './values.ts';

export const exportFormat = z.enum(['jsonl', 'json', 'csv']);

export const annotationQuery = z.strictObject({
  format: exportFormat.default('jsonl'),
  counted: flag
    .optional()
    .meta({ description: 'Only the counted answers, or only the surplus; absent: both.' }),
  annotator: smallIdParam.optional(),
  taskId: idParam.optional(),
});

/** One line of an export. */
export const annotation = z
  .object({
    taskId: id,
    externalId: z.string().nullable(),
    annotator: z.object({ id, externalId: z.string() }),
    assignmentId: z.string(),
    submissionId: z.string(),
    result: z.unknown(),
    counted: z.boolean(),
    startedAt: time.nullable(),
    submittedAt: time,
    leadTimeMs: z.number(),
  })
  .meta({ id: 'Annotation' });
