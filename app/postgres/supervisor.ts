import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 500;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 10_000;

export type SupervisionEvent =
  | { readonly kind: 'lost' | 'restored' }
  | { readonly kind: 'restart_failed'; readonly error: unknown };

/**
 * Starts a server again when it ends though nobody asked it to: killed for its memory, say, or by a hand that slipped.
 * Tries until it succeeds; meanwhile callers get retryable errors.
 *
 * @returns what ends it, and resolves when it no longer starts anything. Safe to repeat.
 */
export function supervise(args: {
  isRunning: () => boolean;
  restart: () => Promise<void>;
  onEvent: (event: SupervisionEvent) => void;
}): () => Promise<void> {
  const abort = new AbortController();
  const ended = watch(args, abort.signal);
  return () => {
    abort.abort();
    return ended;
  };
}

async function watch(args: Parameters<typeof supervise>[0], signal: AbortSignal): Promise<void> {
  while (await pause(LOOK_EVERY_MS, signal)) {
    if (args.isRunning()) continue;
    args.onEvent({ kind: 'lost' });
    for (let retryMs = RETRY_MS_MIN; ; retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)) {
      try {
        await args.restart();
        args.onEvent({ kind: 'restored' });
        break;
      } catch (error) {
        args.onEvent({ kind: 'restart_failed', error });
      }
      if (!(await pause(retryMs, signal))) return;
    }
  }
}

/** @returns false when it is over. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  // The only rejection is the abort, and the signal says that too.
  await delay(ms, undefined, { signal, ref: false }).catch(() => undefined);
  return !signal.aborted;
}
