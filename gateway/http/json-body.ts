import { API_LIMITS } from '../../protocol/api/index.ts';
import type { HttpApp } from './app.ts';
import { ProblemError } from './problem.ts';

/**
 * Reads JSON bodies and nothing else. An empty one counts as none: many clients name the content type on every
 * POST. The depth is bounded before any schema walks the value, because schemas walk it by recursion.
 */
export function readJsonBodies(app: HttpApp): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: unknown, body: string | Buffer) => parseBody(body.toString()),
  );
}

function parseBody(text: string): unknown {
  if (text.trim() === '') return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // The parser's message quotes the body.
    throw new ProblemError('malformed', 'The body is not JSON.');
  }
  const problem = shapeProblem(body);
  if (problem !== undefined) throw new ProblemError('malformed', problem);
  return body;
}

function shapeProblem(body: unknown): string | undefined {
  let level: unknown[] = [body];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > API_LIMITS.jsonDepthMax)
      return `The body nests deeper than ${API_LIMITS.jsonDepthMax} levels.`;
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item !== 'object' || item === null) continue;
      if (Object.hasOwn(item, '__proto__')) return 'A key is named __proto__.';
      for (const child of Object.values(item)) if (typeof child === 'object') next.push(child);
    }
    level = next;
  }
  return undefined;
}
