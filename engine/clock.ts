export interface Timer {
  cancel(): void;
}

/**
 * Time as the engine knows it. Nothing in engine/ reads Date or sets a timer of its own, so a simulator can
 * drive every node by a clock of its choosing. Clock times for people come from the database.
 */
export interface Clock {
  /** Monotonic milliseconds; only differences mean anything. */
  nowMs(): number;
  /** Calls back once, `delayMs` from now or later. A cancelled timer never calls back. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Calls back after the I/O events that are already here: what came in together is handled together. */
  defer(callback: () => void): void;
}

/** Node's setTimeout fires at once above this; longer delays are cut and re-armed by whoever asked. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

export function systemClock(): Clock {
  return {
    nowMs: () => performance.now(),
    setTimer: (delayMs, callback) => {
      const handle = setTimeout(callback, Math.min(Math.max(0, Math.ceil(delayMs)), TIMER_MS_MAX));
      return { cancel: () => clearTimeout(handle) };
    },
    defer: (callback) => {
      setImmediate(callback);
    },
  };
}
