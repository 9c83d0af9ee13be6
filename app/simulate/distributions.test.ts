import { expect, test } from 'vitest';
import { fitLogNormal, MEASURED, sampleGap, sampleLogNormal } from './distributions.ts';
import { randomStream } from './random.ts';

const SAMPLES = 40_000;

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * sorted.length)] ?? Number.NaN;
}

test.each(Object.entries(MEASURED))('times drawn for %s are like those that were measured', (_, measured) => {
  const random = randomStream(1, 0);
  const fit = fitLogNormal(measured);
  const sorted = Array.from({ length: SAMPLES }, () => sampleLogNormal(fit, random)).sort((a, b) => a - b);
  expect(quantile(sorted, 0.05) / measured.p5).toBeCloseTo(1, 1);
  expect(quantile(sorted, 0.5) / measured.p50).toBeCloseTo(1, 1);
  // One spread has to serve both slow quantiles, and the real tail is not quite log-normal.
  for (const [share, slow] of [
    [0.95, measured.p95] as const,
    [0.99, 'p99' in measured ? measured.p99 : undefined] as const,
  ]) {
    if (slow === undefined) continue;
    expect(quantile(sorted, share) / slow).toBeGreaterThan(0.7);
    expect(quantile(sorted, share) / slow).toBeLessThan(1.4);
  }
});

test('arrivals keep their mean distance, and are as often short as those of a Poisson process', () => {
  const random = randomStream(2, 0);
  const gaps = Array.from({ length: SAMPLES }, () => sampleGap(100, random));
  expect(gaps.reduce((sum, gap) => sum + gap, 0) / SAMPLES / 100).toBeCloseTo(1, 1);
  expect(gaps.filter((gap) => gap < 100).length / SAMPLES).toBeCloseTo(1 - Math.exp(-1), 1);
  expect(gaps.every((gap) => gap >= 0 && Number.isFinite(gap))).toBe(true);
});

test('a seed decides everything, and streams differ', () => {
  const draw = (seed: number, index: number): number[] => {
    const random = randomStream(seed, index);
    return [random.uniform(), random.normal(), random.between(5, 9), random.whole(1, 6)];
  };
  expect(draw(7, 3)).toEqual(draw(7, 3));
  expect(draw(7, 3)).not.toEqual(draw(7, 4));
  expect(draw(7, 3)).not.toEqual(draw(8, 3));
});

test('whole numbers include both ends, and nothing is picked from nothing', () => {
  const random = randomStream(3, 0);
  const rolls = new Set(Array.from({ length: 500 }, () => random.whole(1, 6)));
  expect([...rolls].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  expect(random.pick([])).toBeUndefined();
  expect(['a', 'b']).toContain(random.pick(['a', 'b']));
});
