import { z } from 'zod';

/** Every error of the HTTP API: application/problem+json (RFC 9457) with our code. */
export const problem = z
  .object({
    type: z.string().meta({ description: '`urn:baton:error:<code>`' }),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string().meta({ description: 'One of docs/errors.md. Never renamed: branch on it.' }),
    retryable: z.boolean().meta({ description: 'Whether the same request may succeed later, unchanged.' }),
    retryAfterMs: z.number().optional(),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'Where the request is wrong.' }),
    created: z.number().int().optional().meta({ description: 'An import that stopped: tasks that stay.' }),
    duplicates: z.number().int().optional(),
    rejectedCount: z.number().int().optional(),
  })
  .meta({ id: 'Problem', description: 'Why a request was refused.' });

export type Problem = z.output<typeof problem>;
