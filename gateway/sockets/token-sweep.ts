import type { Registry } from './registry.ts';

/** Connections whose tokens are looked at together, in one query at most. */
const TOGETHER_MAX = 500;

/**
 * Looks, now and then, at the tokens of all connections, so that one that only listens ends, too, when its token does.
 * One handful after the other: with any number of connections the sweep has one query under way.
 */
export class TokenSweep {
  readonly #registry: Registry;
  readonly #timer: NodeJS.Timeout;
  #isUnderWay = false;
  #isStopped = false;

  constructor(registry: Registry, everyMs: number) {
    this.#registry = registry;
    this.#timer = setInterval(() => void this.#sweep(), everyMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  async #sweep(): Promise<void> {
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    const sessions = this.#registry.all();
    for (let at = 0; at < sessions.length && !this.#isStopped; at += TOGETHER_MAX) {
      await Promise.all(sessions.slice(at, at + TOGETHER_MAX).map((session) => session.checkToken()));
    }
    this.#isUnderWay = false;
  }
}
