import { expect, test } from 'vitest';
import { systemClock } from './clock.ts';
import { asId, type TaskId } from './ids.ts';
import { Payloads } from './payloads.ts';
import type { Json } from './settings.ts';

const task = (n: number) => asId<TaskId>(n);

function disk(data: ReadonlyMap<number, Json>) {
  const reads: number[][] = [];
  const held: (() => void)[] = [];
  const state = { hold: false, fail: false };
  const store = {
    readPayloads: async (ids: readonly TaskId[]) => {
      reads.push([...ids]);
      if (state.hold) await new Promise<void>((resolve) => held.push(resolve));
      if (state.fail) throw new Error('away');
      const found = new Map<TaskId, string>();
      for (const id of ids) {
        const value = data.get(id);
        if (value !== undefined) found.set(id, JSON.stringify(value));
      }
      return found;
    },
  };
  return { store, reads, held, state };
}

const MANY = new Map(Array.from({ length: 40 }, (_, n): [number, Json] => [n + 1, `data of ${n + 1}`]));

test('what is asked for in one turn is read together, each once, and then comes from memory', async () => {
  const { store, reads } = disk(MANY);
  const payloads = new Payloads(store, systemClock(), 100_000);
  const asked = [1, 2, 2, 3].map((n) => payloads.get(task(n)));
  expect(await Promise.all(asked)).toEqual(['data of 1', 'data of 2', 'data of 2', 'data of 3']);
  expect(await payloads.get(task(2))).toBe('data of 2');
  expect(reads).toEqual([[1, 2, 3]]);
});

test('the least recently used go first when the bytes run out', async () => {
  const { store, reads } = disk(MANY);
  // Each takes about 86 bytes; no single one may take more than a sixteenth.
  const payloads = new Payloads(store, systemClock(), 90 * 17);
  for (let n = 1; n <= 17; n++) await payloads.get(task(n));
  await payloads.get(task(1));
  await payloads.get(task(18));
  await payloads.get(task(19));
  reads.length = 0;
  await payloads.get(task(1));
  expect(reads).toEqual([]);
  await payloads.get(task(2));
  expect(reads).toEqual([[2]]);
});

test('two reads of one task that cross count its bytes once', async () => {
  const { store, reads, held, state } = disk(MANY);
  const payloads = new Payloads(store, systemClock(), 90 * 17);
  state.hold = true;
  for (let n = 0; n < 16; n++) {
    const first = payloads.get(task(1));
    await new Promise<void>((resolve) => setImmediate(resolve));
    const second = payloads.get(task(1));
    await new Promise<void>((resolve) => setImmediate(resolve));
    for (const go of held.splice(0)) go();
    await Promise.all([first, second]);
  }
  state.hold = false;
  for (let n = 2; n <= 15; n++) await payloads.get(task(n));
  reads.length = 0;
  // The first and the last: more would be used, and so moved to the young generation, than it has room for.
  for (const n of [1, 2, 10, 11, 12, 13, 14, 15]) await payloads.get(task(n));
  expect(reads).toEqual([]);
});

test('a task without data is an error of its own; a database that is away fails those who asked, once', async () => {
  const { store, state } = disk(MANY);
  const payloads = new Payloads(store, systemClock(), 100_000);
  const asked = [payloads.get(task(99)), payloads.get(task(1))];
  const settled = await Promise.allSettled(asked);
  expect(settled.map((one) => one.status)).toEqual(['rejected', 'fulfilled']);
  state.fail = true;
  await expect(payloads.get(task(5))).rejects.toThrow('away');
  state.fail = false;
  expect(await payloads.get(task(5))).toBe('data of 5');
});
