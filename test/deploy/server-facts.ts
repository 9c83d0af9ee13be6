import { STEP_MS } from '../../app/node.ts';
import { STOP_LIMITS_MS } from '../../app/serve.ts';
import { readText } from './manifests.ts';

const sum = (values: Readonly<Record<string, number>>) => Object.values(values).reduce((a, b) => a + b, 0);

/** Seconds that a server may take to stop when every part of it takes as long as it may. */
export const STOP_SECONDS = sum(STOP_LIMITS_MS) / 1_000;
/** Of these, what the steps inside of the node may take. */
export const NODE_STEPS_MS = sum(STEP_MS);

/** The paths that every process answers, whatever its roles. */
export function healthPaths(): string[] {
  const text = readText('gateway/http/health.ts');
  return [...text.matchAll(/app\.get\(\s*'([^']+)'/g)].map(([, path]) => path ?? '');
}
