/**
 * How long to wait before attempt number `attempt` (1 is the first repeat): doubling from `baseMs` to `maxMs`, the upper half
 * of it by chance so that clients do not come back in step, and never less than the server asked for.
 */
export function backoffMs(args: {
  attempt: number;
  baseMs: number;
  maxMs: number;
  random: () => number;
  retryAfterMs?: number | undefined;
}): number {
  const { attempt, baseMs, maxMs, random, retryAfterMs = 0 } = args;
  const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  const jitteredMs = ceilingMs * (0.5 + random() / 2);
  return Math.round(Math.max(jitteredMs, retryAfterMs + (retryAfterMs > 0 ? random() * baseMs : 0)));
}
