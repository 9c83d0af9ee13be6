import { expect, test } from 'vitest';
import { distribution, median, percentile, rounded } from './measure.ts';

test('a percentile is the nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  expect(percentile(hundred, 0.5)).toBe(50);
  expect(percentile(hundred, 0.99)).toBe(99);
  expect(percentile(hundred, 1)).toBe(100);
  expect(percentile([7], 0.99)).toBe(7);
});

test('a distribution sorts by value, not by text, and leaves its input alone', () => {
  const values = [100, 9, 20];
  expect(distribution(values)).toEqual({ count: 3, p50: 20, p99: 100, max: 100 });
  expect(values).toEqual([100, 9, 20]);
  expect(median(values)).toBe(20);
});

test('an empty sample has no figure', () => {
  expect(() => distribution([])).toThrow(RangeError);
});

test('figures are rounded to what a reader can use', () => {
  expect([1234.56, 99.94, 1.2345, 0.01234].map(rounded)).toEqual([1235, 99.9, 1.23, 0.0123]);
});
