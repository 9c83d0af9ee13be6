import { z } from 'zod';
import { API_LIMITS } from './limits.ts';
import { paging } from './paging.ts';
import { capacity, externalId, id, name, reason, skillName, skillValue, time } from './values.ts';

export const annotatorStatus = z.enum(['active', 'paused', 'banned']);

export const annotator = z
  .object({
    id,
    externalId: z.string(),
    name: z.string(),
    status: annotatorStatus,
    statusReason: z.string().nullable(),
    capacity: z.number().int().meta({ description: 'Leases held at once, over all projects.' }),
    skills: z.record(z.string(), z.number()),
    createdAt: time,
  })
  .meta({ id: 'Annotator' });

const skills = z
  .record(skillName, skillValue)
  .refine(
    (map) => Object.keys(map).length <= API_LIMITS.skillsMax,
    `must hold at most ${API_LIMITS.skillsMax}`,
  );

export const annotatorCreate = z
  .strictObject({
    externalId,
    name: name.optional(),
    capacity: capacity.optional(),
    skills: skills.optional(),
  })
  .meta({ id: 'AnnotatorCreate', description: 'The name is the externalId unless it is given.' });

export const annotatorChange = z
  .strictObject({
    name: name.optional(),
    capacity: capacity.optional(),
    skills: z
      .record(skillName, skillValue.nullable())
      .refine(
        (map) => Object.keys(map).length <= API_LIMITS.skillsMax,
        `must hold at most ${API_LIMITS.skillsMax}`,
      )
      .optional()
      .meta({ description: 'Skills to set; null takes one away; the rest stay.' }),
  })
  .meta({ id: 'AnnotatorChange' });

export const annotatorStatusChange = z
  .strictObject({ reason: reason.optional() })
  .meta({ id: 'AnnotatorStatusChange' });

export const annotatorQuery = z.strictObject({
  ...paging,
  externalId: externalId.optional(),
  status: annotatorStatus.optional(),
});

export const membersAdd = z
  .strictObject({ annotatorIds: z.array(id.max(2_147_483_647)).min(1).max(API_LIMITS.membersPerRequestMax) })
  .meta({ id: 'MembersAdd' });
