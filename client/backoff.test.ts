import { expect, test } from 'vitest';
import { backoffMs } from './backoff.ts';

const base = { baseMs: 100, maxMs: 1_000 };

test('waits double up to the most, and half of each is chance', () => {
  const waits = (random: number) =>
    [1, 2, 3, 4, 5, 50].map((attempt) => backoffMs({ ...base, attempt, random: () => random }));
  expect(waits(0)).toEqual([50, 100, 200, 400, 500, 500]);
  expect(waits(1)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test('no wait is shorter than the server asked for, and those told the same do not come back in step', () => {
  expect(backoffMs({ ...base, attempt: 1, random: () => 0, retryAfterMs: 5_000 })).toBe(5_000);
  expect(backoffMs({ ...base, attempt: 1, random: () => 0.5, retryAfterMs: 5_000 })).toBe(5_050);
  expect(backoffMs({ ...base, attempt: 9, random: () => 1, retryAfterMs: 10 })).toBe(1_000);
});
