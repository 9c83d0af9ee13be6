import { z } from 'zod';
import { id, name, time } from './values.ts';

export const role = z.enum(['annotator', 'supervisor', 'admin']);

export const tokenRecord = z
  .object({
    id,
    name: z.string(),
    role,
    prefix: z.string().meta({ description: 'Its first characters, to tell tokens apart.' }),
    annotatorId: id.nullable(),
    createdAt: time,
    expiresAt: time.nullable(),
    revokedAt: time.nullable(),
  })
  .meta({ id: 'TokenRecord' });

export const tokenCreated = tokenRecord
  .extend({ token: z.string().meta({ description: 'The token itself. It is shown this once.' }) })
  .meta({ id: 'TokenCreated' });

export const tokenCreate = z
  .strictObject({ name: name.optional(), expiresAt: time.optional() })
  .meta({ id: 'TokenCreate' });

export const keyCreate = z
  .strictObject({ name, role: z.enum(['supervisor', 'admin']), expiresAt: time.optional() })
  .meta({ id: 'KeyCreate' });

export const me = z
  .object({
    role,
    tokenId: id,
    annotator: z.object({ id, externalId: z.string(), name: z.string() }).nullable(),
  })
  .meta({ id: 'Me' });
