import { z } from 'zod';
import { id, time } from './values.ts';

export const auditEntry = z
  .object({
    id,
    at: time,
    actor: z.string().meta({ description: 'Who: a role and a token or annotator id, or `system`.' }),
    action: z.string().meta({ description: 'What was done, for example `token.revoke`.' }),
    subject: z.string().meta({ description: "What it was done to: an id or a project's slug." }),
    detail: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'AuditEntry' });
