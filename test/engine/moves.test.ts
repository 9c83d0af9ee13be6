import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LocalHub } from '../../engine/bus/local-bus.ts';
import { type Node, World } from './harness.ts';

let world: World;
let hub: LocalHub;

beforeEach(async () => {
  world = await World.create();
  hub = new LocalHub();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

function engine(address: string): Promise<Node> {
  const bus = hub.join(
    address,
    (run) => void setImmediate(run),
    (error) => {
      throw error;
    },
  );
  return world.engine({ roles: ['engine', 'gateway'], bus });
}

/** One engine that owns four shards, each with an open lease. */
async function engineWithShards(): Promise<Node> {
  const projects = [];
  for (let i = 0; i < 4; i++) {
    const project = await world.project();
    await world.tasks(project, [{}]);
    projects.push(project);
  }
  const one = await engine('engine-1');
  const person = await one.arrive({ capacity: 4 });
  for (const project of projects) await person.take(project);
  return one;
}

async function epochs(): Promise<number> {
  const rows: { epoch: number }[] = await world.db('shards').select('epoch');
  return rows.reduce((sum, { epoch }) => sum + epoch, 0);
}

test('no shard is handed to an engine that has joined and does not answer: it would be served by nobody again and again', async () => {
  const one = await engineWithShards();
  const before = await epochs();
  // As one that is starting, or whose way to Redis is blocked: it is in the list, and nothing that is said to it arrives.
  await world.db('nodes').insert({ name: 'deaf', version: '1', address: 'engine-2', roles: 'engine' });
  for (let second = 0; second < 12; second++) {
    await world.db('nodes').where({ name: 'deaf' }).update({ renewed_at: world.db.fn.now() });
    await one.clock.advance(1_000);
  }
  expect(one.engine.status()).toMatchObject({ nodes: 2, shards: 4 });
  expect(await epochs()).toBe(before);
  await world.db('nodes').where({ name: 'deaf' }).delete();
  await one.clock.advance(1_000);
});

test('an engine that answers is given its share', async () => {
  const one = await engineWithShards();
  const two = await engine('engine-2');
  await vi.waitFor(async () => {
    await one.clock.advance(1_000);
    expect([one.engine.status().shards, two.engine.status().shards]).toEqual([2, 2]);
  });
  await two.crash();
  await one.clock.advance(1_000);
});
