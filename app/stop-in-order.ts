import type { Logger } from 'pino';
import { describeError } from '../gateway/describe-error.ts';

/** One part of a stop. */
export interface StopStep {
  readonly name: string;
  /** How long it may take before the next one begins all the same. */
  readonly limitMs: number;
  run(): Promise<unknown>;
  /** Called when the time is over. */
  force?(): void;
}

/** Runs one step after the other. None can hold up a stop for long, and none that fails keeps the others from it. */
export async function stopInOrder(steps: readonly StopStep[], logger: Pick<Logger, 'warn'>): Promise<void> {
  for (const step of steps) {
    try {
      if (await endsInTime(step)) continue;
      logger.warn({ step: step.name, limitMs: step.limitMs }, 'did not stop in time');
      step.force?.();
    } catch (error) {
      logger.warn({ step: step.name, ...describeError(error) }, 'did not stop cleanly');
    }
  }
}

async function endsInTime(step: StopStep): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, step.limitMs, false);
  });
  try {
    return await Promise.race([step.run().then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
