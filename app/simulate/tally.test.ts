import { expect, test } from 'vitest';
import { Latencies, Tally } from './tally.ts';

test('quantiles are right within two percent, whatever the scale', () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 10_000; ms++) latencies.add(ms);
  expect((latencies.quantile(0.5) ?? 0) / 5_000).toBeCloseTo(1, 1);
  expect((latencies.quantile(0.99) ?? 0) / 9_900).toBeCloseTo(1, 1);
  expect(latencies.count).toBe(10_000);
});

test('nothing measured has no quantiles, and a duration of zero is a duration', () => {
  const latencies = new Latencies();
  expect(latencies.quantile(0.5)).toBeNull();
  latencies.add(0);
  expect(latencies.quantile(0.99)).toBe(0.01);
});

test('a tally counts losses by reason and errors by code', () => {
  const tally = new Tally();
  tally.lost('disconnected');
  tally.lost('disconnected');
  tally.error('lease_ended');
  expect(tally.summary()).toMatchObject({
    lost: { disconnected: 2 },
    errors: { lease_ended: 1 },
    submitted: 0,
  });
});
