/** Time and chance, given from outside so that tests can hold them still. */
export interface Surroundings {
  /** Monotonic milliseconds; only differences mean anything. */
  nowMs(): number;
  /** Calls back once after the delay, unless cancelled. @returns cancel */
  setTimer(delayMs: number, callback: () => void): () => void;
  /** 0 up to 1. */
  random(): number;
  /** A text of 1 to 100 characters that nobody else makes up. */
  newId(): string;
}

export function defaultSurroundings(): Surroundings {
  return {
    nowMs: () => performance.now(),
    setTimer: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    // Not randomUUID: browsers offer that to pages on https only.
    newId: () =>
      [...crypto.getRandomValues(new Uint8Array(16))]
        .map((byte) => byte.toString(16).padStart(2, '0'))
        .join(''),
  };
}
