import type { Clock, Timer } from '../../engine/clock.ts';
import type { Schedule } from './schedule.ts';

/**
 * One operating system process in virtual time. What happens in it waits while it is stopped (SIGSTOP, a long garbage
 * collection, a loop that does not yield) and never happens once it is dead. Its clock may run a little fast or slow.
 */
export class SimProcess implements Clock {
  isDead = false;
  private stoppedUntilMs = 0;
  private readonly schedule: Schedule;
  private readonly rate: number;

  /** @param rate how fast its monotonic clock runs; 1 is true. */
  constructor(schedule: Schedule, rate: number) {
    this.schedule = schedule;
    this.rate = rate;
  }

  nowMs(): number {
    return this.schedule.nowMs * this.rate;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let isOn = true;
    this.run(delayMs / this.rate, () => {
      if (isOn) callback();
    });
    return {
      cancel: () => {
        isOn = false;
      },
    };
  }

  defer(callback: () => void): void {
    this.run(0, callback);
  }

  /** In this process, after this much true time, or when it goes on. */
  run(delayMs: number, callback: () => void): void {
    this.schedule.at(delayMs, () => {
      if (this.isDead) return;
      const waitMs = this.stoppedUntilMs - this.schedule.nowMs;
      if (waitMs > 0) this.run(waitMs, callback);
      else callback();
    });
  }

  stopFor(ms: number): void {
    this.stoppedUntilMs = Math.max(this.stoppedUntilMs, this.schedule.nowMs + ms);
  }

  kill(): void {
    this.isDead = true;
  }
}
