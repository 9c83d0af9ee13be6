import { expect, test } from 'vitest';
import { Recent } from './recent.ts';

test('the latest half is always known, and never more than the whole', () => {
  const recent = new Recent<number, string>(10);
  for (let key = 0; key < 100; key++) {
    recent.set(key, `value ${key}`);
    const known = Array.from({ length: key + 1 }, (_, k) => k).filter((k) => recent.get(k) !== undefined);
    expect(known.length).toBeLessThanOrEqual(10);
    expect(known.length).toBeGreaterThanOrEqual(Math.min(key + 1, 5));
    expect(known.at(-1)).toBe(key);
    expect(recent.get(key)).toBe(`value ${key}`);
  }
});

test('an entry that is set again has its new value', () => {
  const recent = new Recent<string, number>(4);
  recent.set('a', 1);
  recent.set('b', 2);
  recent.set('a', 3);
  expect(recent.get('a')).toBe(3);
  expect(recent.get('b')).toBe(2);
});
