import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Chance that a seed decides: the same seed gives the same numbers, in the same order. */
export interface Random {
  /** 0 up to 1, without 1. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  chance(probability: number): boolean;
  between(low: number, high: number): number;
  /** A whole number, both ends included. */
  whole(low: number, high: number): number;
  /** Undefined when there is nothing to pick from. */
  pick<T>(list: readonly T[]): T | undefined;
}

/**
 * Stream number `index` of a seed. Streams do not overlap, so what one person does changes nothing for the next.
 * Reaching a stream takes `index` steps.
 */
export function randomStream(seed: number, index: number): Random {
  const generator = xoroshiro128plus(seed);
  for (let jumps = 0; jumps < index; jumps++) generator.jump();
  const uniform = (): number => uniformFloat64(generator);
  return {
    uniform,
    // Box-Muller. 1 - u keeps the logarithm away from zero.
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    chance: (probability) => uniform() < probability,
    between: (low, high) => low + (high - low) * uniform(),
    whole: (low, high) => low + Math.floor(uniform() * (high - low + 1)),
    pick: (list) => list[Math.floor(uniform() * list.length)],
  };
}
