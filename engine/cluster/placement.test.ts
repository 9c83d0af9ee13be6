import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AnnotatorId, asId, type Incarnation, type ShardId } from '../ids.ts';
import { inOrderFor, placeFor, spread, surplusOf } from './placement.ts';

const node = (n: number) => asId<Incarnation>(n);
const shard = (n: number) => asId<ShardId>(n);

test('orphans of a dead node are spread evenly over the others', () => {
  const load = new Map([
    [node(1), 4],
    [node(2), 2],
    [node(3), 3],
  ]);
  const plan = spread([5, 6, 7, 8, 9, 10].map(shard), load);
  const after = new Map(load);
  for (const to of plan.values()) after.set(to, (after.get(to) ?? 0) + 1);
  expect([...after.values()].sort()).toEqual([5, 5, 5]);
});

test('a shard has no place where there is no engine', () => {
  expect(placeFor(shard(1), new Map())).toBeUndefined();
});

test('everybody acting on the plan evens out, and moves no more than that needs', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }), (counts) => {
      const load = new Map(counts.map((count, i) => [node(i + 1), count]));
      const total = counts.reduce((a, b) => a + b, 0);
      const mean = total / counts.length;
      let moves = 0;
      for (let round = 0; round < 400; round++) {
        const targets = new Map([...load.keys()].map((self) => [self, surplusOf(self, load)]));
        if ([...targets.values()].every((list) => list.length === 0)) break;
        // One gives at a time, as after a refresh; others would see the new counts.
        const giver = [...targets].find(([, list]) => list.length > 0);
        const to = giver?.[1][0];
        if (!giver || to === undefined) break;
        load.set(giver[0], (load.get(giver[0]) ?? 0) - 1);
        load.set(to, (load.get(to) ?? 0) + 1);
        moves += 1;
      }
      expect(Math.max(...load.values()) - Math.min(...load.values())).toBeLessThan(2);
      const needed = counts.reduce((sum, count) => sum + Math.max(0, count - Math.ceil(mean)), 0);
      const slack = counts.length;
      expect(moves).toBeLessThanOrEqual(needed + slack);
    }),
  );
});

test('annotators spread evenly over the shards of a project, and over those of one engine', () => {
  const shards = [11, 12, 13, 14].map(shard);
  const firsts = (among: ShardId[]) => {
    const counts = new Map<ShardId, number>();
    for (let id = 1; id <= 4_000; id++) {
      const [first] = inOrderFor(asId<AnnotatorId>(id), shards).filter((one) => among.includes(one));
      if (first !== undefined) counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    return [...counts.values()];
  };
  for (const count of firsts(shards)) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  for (const count of firsts([shard(11), shard(13)])) expect(Math.abs(count - 2_000)).toBeLessThan(150);
});

test('an annotator is served from the same shards first, every time, and from all of them', () => {
  const shards = [11, 12, 13, 14].map(shard);
  const order = inOrderFor(asId<AnnotatorId>(5), shards);
  expect(inOrderFor(asId<AnnotatorId>(5), [...shards].reverse())).toEqual(order);
  expect([...order].sort()).toEqual(shards);
});
