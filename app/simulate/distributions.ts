import type { Random } from './random.ts';

/** What people were measured to take. Any one unit; the samples have it too. */
export interface Quantiles {
  readonly p5: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99?: number;
}

/**
 * A log-normal distribution with a spread of its own on each side of the median: the slow side of human working times
 * is far longer than one spread for both can say.
 */
export interface SplitLogNormal {
  readonly median: number;
  /** Standard deviations of the logarithm below and above the median. */
  readonly below: number;
  readonly above: number;
}

const Z95 = 1.6448536269514722;
const Z99 = 2.3263478740408408;

/** The split log-normal through p5 and p50; above the median by least squares between p95 and p99 if that is known. */
export function fitLogNormal({ p5, p50, p95, p99 }: Quantiles): SplitLogNormal {
  const below = Math.log(p50 / p5) / Z95;
  const toP95 = Math.log(p95 / p50);
  const above =
    p99 === undefined ? toP95 / Z95 : (Z95 * toP95 + Z99 * Math.log(p99 / p50)) / (Z95 ** 2 + Z99 ** 2);
  return { median: p50, below, above };
}

export function sampleLogNormal({ median, below, above }: SplitLogNormal, random: Random): number {
  const z = random.normal();
  return median * Math.exp(z * (z < 0 ? below : above));
}

/** The gap to the next of events that come independently, `mean` apart on average: a Poisson process. */
export function sampleGap(mean: number, random: Random): number {
  return -mean * Math.log(1 - random.uniform());
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** Working times of real people, in milliseconds (samples/ and the walk-through say where the data comes from). */
export const MEASURED = {
  /** A glance and a yes or no: short videos, 1,000 answers. */
  glance: scaled({ p5: 7, p50: 15, p95: 85, p99: 322 }, SECOND_MS),
  /** A line of text and one of five classes: tweets about the weather, 6,030 answers. */
  tweet: scaled({ p5: 4, p50: 9, p95: 188, p99: 611 }, SECOND_MS),
  /** How long people stay: a marketplace, 24,032 assignments. The short side was not measured; it is set. */
  session: scaled({ p5: 3, p50: 17, p95: 108 }, MINUTE_MS),
} as const satisfies Record<string, Quantiles>;

function scaled({ p5, p50, p95, p99 }: Quantiles, by: number): Quantiles {
  return { p5: p5 * by, p50: p50 * by, p95: p95 * by, ...(p99 !== undefined && { p99: p99 * by }) };
}
