import { abortedError, BatonError, closedError } from './baton-error.ts';

/**
 * A promise that is settled at the latest when one of the signals fires. `start` gets its two ends and returns what
 * takes the wait down; it is called once, whichever way the promise settles.
 *
 * @throws BatonError with the signal's reason if that is one, or `closed` or `aborted`.
 */
export function interruptible<T>(
  signals: { life: AbortSignal; call?: AbortSignal | undefined },
  start: (resolve: (value: T) => void, reject: (error: BatonError) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let stop: (() => void) | undefined;
    let isSettled = false;
    const settle = (act: () => void): void => {
      if (isSettled) return;
      isSettled = true;
      signals.life.removeEventListener('abort', onLife);
      signals.call?.removeEventListener('abort', onCall);
      stop?.();
      act();
    };
    const onLife = (): void => settle(() => reject(reasonOf(signals.life) ?? closedError()));
    const onCall = (): void => settle(() => reject(abortedError()));
    if (signals.life.aborted) return onLife();
    if (signals.call?.aborted) return onCall();
    signals.life.addEventListener('abort', onLife);
    signals.call?.addEventListener('abort', onCall);
    stop = start(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
    // It may have settled inside `start`, before there was anything to take down.
    if (isSettled) stop();
  });
}

function reasonOf(signal: AbortSignal): BatonError | undefined {
  const reason: unknown = signal.reason;
  return reason instanceof BatonError ? reason : undefined;
}
