import { expect, test } from 'vitest';
import { type AnnotatorId, asId } from '../ids.ts';
import { HIGHEST_KEY } from './key.ts';
import { Lane, type Queued } from './lane.ts';

interface Item extends Queued {
  suits: boolean;
}

const me = asId<AnnotatorId>(1);
const other = asId<AnnotatorId>(2);
const suits = (item: Item) => item.suits;
const anything = () => true;

function item(queueRank: number, more: Partial<Item> = {}): Item {
  return { queuePriority: 0, queueRank, arrival: 0, inLane: false, suits: true, ...more };
}

function filled(...items: Item[]): Lane<Item> {
  const lane = new Lane<Item>();
  for (const one of items) lane.insert(one);
  lane.exhausted = true;
  return lane;
}

test('the best is found by priority first, then by rank, wherever it was put in', () => {
  const items = [item(5), item(1, { queuePriority: 2 }), item(9, { queuePriority: -1 }), item(3)];
  const lane = filled(...items);
  const order: number[] = [];
  for (let found = lane.find(me, suits); found; found = lane.find(me, suits)) {
    order.push(found.queueRank);
    lane.remove(found);
  }
  expect(order).toEqual([9, 3, 5, 1]);
  expect(lane.size).toBe(0);
});

test('what did not suit is looked at once, and again when it comes back', () => {
  const [first, second] = [item(1, { suits: false }), item(2)];
  const lane = filled(first, second);
  let looks = 0;
  const counted = (one: Item) => {
    if (one === first) looks += 1;
    return one.suits;
  };
  for (let i = 0; i < 5; i++) expect(lane.find(me, counted)).toBe(second);
  expect(looks).toBe(1);
  first.suits = true;
  expect(lane.find(me, counted)).toBe(second);
  lane.insert(first);
  expect(lane.find(me, counted)).toBe(first);
  expect(lane.find(other, suits)).toBe(first);
});

test('a task that is put in behind somebody is found by them all the same', () => {
  const passed = item(5, { suits: false });
  const lane = filled(passed, item(9));
  expect(lane.find(me, suits)?.queueRank).toBe(9);
  lane.insert(item(3));
  expect(lane.find(me, suits)?.queueRank).toBe(3);
});

test('beyond the frontier the disk may hold better ones, so what lies there is not given before it was read', () => {
  const lane = new Lane<Item>();
  for (const rank of [1, 2, 9]) lane.insert(item(rank));
  lane.frontier = { queuePriority: 0, queueRank: 2 };
  for (const rank of [1, 2]) {
    const found = lane.find(me, anything);
    expect(found?.queueRank).toBe(rank);
    if (found) lane.remove(found);
  }
  expect(lane.find(me, anything)).toBeUndefined();
  lane.advanceDeep(me, HIGHEST_KEY);
  expect(lane.find(me, anything)?.queueRank).toBe(9);
  expect(lane.find(other, anything)).toBeUndefined();
  lane.exhausted = true;
  expect(lane.find(other, anything)?.queueRank).toBe(9);
});

test('a trimmed window begins where it did, and knows that the disk has more', () => {
  const items = [1, 2, 3, 4, 5].map((rank) => item(rank));
  const lane = filled(...items);
  lane.frontier = { queuePriority: 0, queueRank: 5 };
  expect(lane.trim(3, anything)).toEqual(items.slice(3));
  expect(lane.exhausted).toBe(false);
  expect(lane.frontier.queueRank).toBe(3);
  expect(items.map((one) => lane.covers(one))).toEqual([true, true, true, false, false]);
  expect(items.map((one) => one.inLane)).toEqual([true, true, true, false, false]);
  expect(lane.trim(3, anything)).toEqual([]);
});

test('a task that leaves memory moves back who had read past it, and only those it could be for', () => {
  const lane = new Lane<Item>();
  lane.advanceDeep(me, HIGHEST_KEY);
  lane.advanceDeep(other, HIGHEST_KEY);
  lane.forgotten(item(7), (annotatorId) => annotatorId === me);
  expect(lane.isSpent(me)).toBe(false);
  expect(lane.deepKeyOf(me)).toEqual({ queuePriority: 0, queueRank: 6 });
  expect(lane.isSpent(other)).toBe(true);
});

test('after a reset everything is read and looked at again', () => {
  const lane = filled(item(1, { suits: false }));
  expect(lane.find(me, suits)).toBeUndefined();
  expect(lane.reset()).toHaveLength(1);
  expect([lane.size, lane.exhausted, lane.isSpent(me)]).toEqual([0, false, false]);
});
