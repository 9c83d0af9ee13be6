import type { Result } from '../refusals.ts';

/**
 * Tells the engine of imported chunks while the import goes on, one call at a time. A refusal is not an error of
 * the import: the chunks wait in the database, and the next call, or the shard's next owner, announces them.
 */
export function announcer(announce: () => Promise<Result<unknown>>): {
  soon(): void;
  finish(): Promise<void>;
} {
  let inFlight: Promise<void> | undefined;
  let failure: { error: unknown } | undefined;
  const begin = (): Promise<void> => {
    const call = announce().then(
      () => undefined,
      (error: unknown) => {
        failure = { error };
      },
    );
    return call.then(() => {
      inFlight = undefined;
    });
  };
  return {
    soon() {
      inFlight ??= begin();
    },
    /** Waits until everything that was written before this call is announced. @throws what a call threw. */
    async finish() {
      await inFlight;
      await begin();
      if (failure !== undefined) throw failure.error;
    },
  };
}
