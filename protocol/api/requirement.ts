import { z } from 'zod';
import { API_LIMITS } from './limits.ts';
import { skillName } from './values.ts';

/** A condition on an annotator's skills. A skill that was never set fails every comparison. */
export type WireRequirement =
  | { skill: string; op: '>=' | '>' | '<=' | '<' | '=' | '!='; value: number }
  | { all: WireRequirement[] }
  | { any: WireRequirement[] };

const comparison = z.strictObject({
  skill: skillName,
  op: z.enum(['>=', '>', '<=', '<', '=', '!=']),
  value: z.number().min(0).max(100),
});

export const requirement: z.ZodType<WireRequirement, WireRequirement> = z
  .union([
    comparison,
    z.strictObject({
      get all() {
        return z.array(requirement).min(1).max(API_LIMITS.requirementsMax);
      },
    }),
    z.strictObject({
      get any() {
        return z.array(requirement).min(1).max(API_LIMITS.requirementsMax);
      },
    }),
  ])
  .meta({ id: 'Requirement', description: 'A condition on skills: a comparison, or all/any of several.' });

/** All must hold. */
export const requirements = z
  .array(requirement)
  .max(API_LIMITS.requirementsMax)
  .superRefine((list, context) => {
    const size = measure(list);
    if (size.count > API_LIMITS.requirementsMax) {
      context.addIssue({
        code: 'custom',
        message: `must hold at most ${API_LIMITS.requirementsMax} conditions`,
      });
    }
    if (size.depth > API_LIMITS.requirementsDepthMax) {
      context.addIssue({
        code: 'custom',
        message: `must nest at most ${API_LIMITS.requirementsDepthMax} deep`,
      });
    }
  });

/** The body's own depth limit has already bounded this recursion. */
function measure(list: readonly WireRequirement[]): { count: number; depth: number } {
  let count = 0;
  let depth = 0;
  for (const item of list) {
    const inner =
      'all' in item ? measure(item.all) : 'any' in item ? measure(item.any) : { count: 0, depth: 0 };
    count += 1 + inner.count;
    depth = Math.max(depth, 1 + inner.depth);
  }
  return { count, depth };
}
