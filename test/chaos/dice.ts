import { seededRandom } from '../engine/random-work.ts';

/** Chance from a seed. */
export class Dice {
  private readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** True that often, of 1. */
  chance(probability: number): boolean {
    return this.random() < probability;
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  /** @returns undefined of nothing. */
  pick<T>(things: readonly T[]): T | undefined {
    return things[Math.floor(this.random() * things.length)];
  }

  /** Dice of their own, that throw the same whatever these are used for. */
  fork(): Dice {
    return new Dice(Math.floor(this.random() * 2 ** 32));
  }
}
