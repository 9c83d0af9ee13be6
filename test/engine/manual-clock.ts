import type { Clock, Timer } from '../../engine/clock.ts';

interface Armed {
  readonly dueMs: number;
  readonly no: number;
  readonly callback: () => void;
}

/**
 * Time that only moves when a test says so. Timers fire in the order of their due times; between two of them
 * `quiet` is awaited, so that whatever the first one started (a renewal, a commit) is done before time goes on.
 */
export class ManualClock implements Clock {
  private now = 1_000_000;
  private no = 0;
  private readonly armed = new Set<Armed>();
  private readonly quiet: () => Promise<void>;

  constructor(quiet: () => Promise<void>) {
    this.quiet = quiet;
  }

  nowMs(): number {
    return this.now;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.now + Math.max(0, delayMs), no: ++this.no, callback };
    this.armed.add(timer);
    return { cancel: () => this.armed.delete(timer) };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.now + ms;
    await this.quiet();
    for (let next = this.next(); next && next.dueMs <= endMs; next = this.next()) {
      this.now = Math.max(this.now, next.dueMs);
      this.armed.delete(next);
      next.callback();
      await this.quiet();
    }
    this.now = endMs;
  }

  /** Time passes at once, as for a process that was stopped: then all that is due fires in one turn. */
  async leap(ms: number): Promise<void> {
    this.now += ms;
    for (let next = this.next(); next && next.dueMs <= this.now; next = this.next()) {
      this.armed.delete(next);
      next.callback();
    }
    await this.quiet();
  }

  private next(): Armed | undefined {
    let first: Armed | undefined;
    for (const timer of this.armed) {
      if (!first || timer.dueMs < first.dueMs || (timer.dueMs === first.dueMs && timer.no < first.no))
        first = timer;
    }
    return first;
  }
}
