import { z } from 'zod';
import { paging } from './paging.ts';
import { id, idParam, listOf, reason, slug, smallIdParam, time } from './values.ts';

export const assignmentState = z.enum([
  'offered',
  'active',
  'submitted',
  'accepted',
  'rejected',
  'expired',
  'abandoned',
  'skipped',
  'released',
  'revoked',
  'surplus',
]);

export const assignment = z
  .object({
    id: z.string(),
    project: z.string(),
    taskId: id,
    annotatorId: id,
    state: assignmentState,
    slot: z.number().int(),
    attempt: z.number().int(),
    grantedAt: time,
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    endReason: z.string().nullable(),
  })
  .meta({ id: 'Assignment' });

export const assignmentQuery = z.strictObject({
  ...paging,
  project: slug.optional(),
  annotator: smallIdParam.optional(),
  taskId: idParam.optional(),
  state: listOf(assignmentState).optional().meta({ description: 'Some states: `offered,active`.' }),
});

export const revocation = z.strictObject({ reason: reason.optional() }).meta({ id: 'Revocation' });
