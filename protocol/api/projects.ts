import { z } from 'zod';
import { projectSettings, projectSettingsChange } from './settings.ts';
import { id, name, slug, time } from './values.ts';

export const projectStatus = z.enum(['active', 'paused', 'archived']);

export const project = z
  .object({
    id,
    slug,
    name: z.string(),
    status: projectStatus,
    settings: projectSettings,
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Project' });

export const projectCreate = z
  .strictObject({ slug, name: name.optional(), settings: projectSettingsChange.optional() })
  .meta({ id: 'ProjectCreate', description: 'The name is the slug unless it is given.' });

export const projectChange = z
  .strictObject({ name: name.optional(), settings: projectSettingsChange.optional() })
  .meta({ id: 'ProjectChange' });

export const projectStats = z
  .object({
    tasks: z.object({
      total: z.number().int(),
      waiting: z.number().int(),
      held: z.number().int(),
      complete: z.number().int(),
      cancelled: z.number().int(),
    }),
    answers: z.object({ submitted: z.number().int(), surplus: z.number().int() }),
    ended: z.object({
      skipped: z.number().int(),
      expired: z.number().int(),
      abandoned: z.number().int(),
    }),
    live: z.object({
      leased: z.number().int(),
      waitingAnnotators: z.number().int(),
      nextExpiryMs: z.number().nullable().meta({ description: 'Until the next lease can end.' }),
    }),
    cursor: z.string().meta({ description: 'The end of the event feed that these numbers include.' }),
  })
  .meta({ id: 'ProjectStats' });
