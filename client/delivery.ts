import type { WireAssignment } from '../protocol/wire/index.ts';
import { interruptible } from './interruptible.ts';
import type { Leases } from './leases.ts';

/** Somebody who waits for one assignment. */
export interface Taker {
  taken: WireAssignment | undefined;
  /** The server no longer knows that we wait. */
  mustAsk: boolean;
  wake: (() => void) | undefined;
}

/**
 * Gives each assignment to the application once: as what a call returned, to whoever waits for one, or as an event. What a
 * call under way may return is given to nobody else until the call has settled.
 */
export class Delivery {
  readonly #leases: Leases;
  readonly #events: { has(): boolean; emit(assignment: WireAssignment): void };
  /** Longest wait first. */
  readonly #takers: Taker[] = [];
  #calls = 0;

  constructor(leases: Leases, events: { has(): boolean; emit(assignment: WireAssignment): void }) {
    this.#leases = leases;
    this.#events = events;
  }

  /** Runs a call that may return an assignment. */
  async around<T>(act: () => Promise<T>): Promise<T> {
    this.#calls += 1;
    try {
      return await act();
    } finally {
      this.#calls -= 1;
      this.deliver();
    }
  }

  /** What is held and was given to nobody. */
  takeWaiting(): WireAssignment | undefined {
    const [first] = this.#leases.undelivered();
    if (first !== undefined) this.#leases.delivered(first.id);
    return first;
  }

  join(): Taker {
    const taker: Taker = { taken: undefined, mustAsk: false, wake: undefined };
    this.#takers.push(taker);
    return taker;
  }

  /** What the taker was given and leaves behind goes to somebody else. */
  leave(taker: Taker): void {
    const index = this.#takers.indexOf(taker);
    if (index >= 0) this.#takers.splice(index, 1);
    if (taker.taken === undefined) return;
    this.#leases.delivered(taker.taken.id, false);
    this.deliver();
  }

  /** @returns what the taker is given, or undefined when it must ask for work again. @throws BatonError */
  wait(
    taker: Taker,
    signals: { life: AbortSignal; call?: AbortSignal | undefined },
  ): Promise<WireAssignment | undefined> {
    return interruptible(signals, (resolve) => {
      taker.wake = () => {
        const { taken, mustAsk } = taker;
        taker.taken = undefined;
        if (taken !== undefined || mustAsk) resolve(taken);
      };
      taker.wake();
      return () => {
        taker.wake = undefined;
      };
    });
  }

  /** A server that was started again, or was left for long, has forgotten who waits. */
  placeLost(): void {
    for (const taker of this.#takers) {
      taker.mustAsk = true;
      taker.wake?.();
    }
  }

  deliver(): void {
    if (this.#calls > 0) return;
    for (const assignment of this.#leases.undelivered()) {
      const taker = this.#takers.shift();
      if (taker === undefined && !this.#events.has()) return;
      this.#leases.delivered(assignment.id);
      if (taker === undefined) this.#events.emit(assignment);
      else {
        taker.taken = assignment;
        taker.wake?.();
      }
    }
  }
}
