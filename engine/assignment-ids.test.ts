import { expect, test } from 'vitest';
import { AssignmentIds } from './assignment-ids.ts';

function sequence(count: number) {
  let next = 1;
  const calls = { count: 0, fail: false };
  const store = {
    allocateAssignmentIds: async () => {
      calls.count += 1;
      if (calls.fail) throw new Error('away');
      const first = next;
      next += count;
      return { first, count };
    },
  };
  return { store, calls };
}

test('every id is given once, over many blocks, and the next block is fetched before it is needed', async () => {
  const { store } = sequence(4_096);
  const errors: unknown[] = [];
  const ids = new AssignmentIds(store, (error) => errors.push(error));
  expect(ids.take()).toBeUndefined();
  await ids.fetch();
  const seen = new Set<number>();
  for (let i = 0; i < 20_000; i++) {
    const id = ids.take();
    if (id === undefined) throw new Error(`none after ${i}`);
    expect(seen.has(id)).toBe(false);
    seen.add(id);
    if (i % 500 === 0) await Promise.resolve().then(() => Promise.resolve());
  }
  expect(errors).toEqual([]);
});

test('while the database is away ids run out, and they come again afterwards', async () => {
  const { store, calls } = sequence(2);
  const errors: unknown[] = [];
  const ids = new AssignmentIds(store, (error) => errors.push(error));
  await ids.fetch();
  calls.fail = true;
  expect(ids.take()).toBe(1);
  expect(ids.take()).toBe(2);
  expect(ids.take()).toBeUndefined();
  await expect(ids.fetch()).rejects.toThrow('away');
  expect(errors.length).toBeGreaterThan(0);
  calls.fail = false;
  await ids.fetch();
  expect(ids.take()).toBe(3);
});

test('asking twice for the next block fetches it once', async () => {
  const { store, calls } = sequence(2);
  const ids = new AssignmentIds(store, () => undefined);
  await Promise.all([ids.fetch(), ids.fetch(), ids.fetch()]);
  expect(calls.count).toBe(1);
});
