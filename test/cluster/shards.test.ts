import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BatonClient } from '../../client/index.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { ClusterUnderTest } from './cluster-under-test.ts';

let cluster: ClusterUnderTest;
let gateways: [ServerProcess, ServerProcess];

beforeEach(async () => {
  cluster = await ClusterUnderTest.start();
  const [first, second] = await Promise.all([
    cluster.node('gateway', 'gateway-1'),
    cluster.node('gateway', 'gateway-2'),
    cluster.node('engine', 'engine-1'),
    cluster.node('engine', 'engine-2'),
  ]);
  gateways = [first, second];
}, 120_000);

afterEach(async () => {
  expect(await cluster.close()).toEqual([]);
}, 120_000);

/** Who owns each shard of the project, by part. */
async function owners(slug: string): Promise<string[]> {
  const rows: { name: string | null }[] = await cluster
    .db('shards as s')
    .join('projects as p', 'p.id', 's.project_id')
    .leftJoin('nodes as n', 'n.incarnation', 's.owner')
    .where('p.slug', slug)
    .orderBy('s.part')
    .select('n.name');
  return rows.map((row) => row.name ?? 'nobody');
}

async function atBothEngines(slug: string): Promise<void> {
  await vi.waitFor(
    async () => expect(new Set(await owners(slug))).toEqual(new Set(['engine-1', 'engine-2'])),
    {
      timeout: 20_000,
      interval: 100,
    },
  );
}

/** Annotators, half of them at each gateway. */
async function people(count: number): Promise<BatonClient[]> {
  const clients: BatonClient[] = [];
  for (let i = 0; i < count; i++) {
    const gateway = gateways[i % 2 === 0 ? 0 : 1];
    clients.push(await cluster.client(gateway, await cluster.annotator(gateway)));
  }
  return clients;
}

test('annotators at gateways alone spread over the shards, and so over the engines, of one project', async () => {
  await cluster.project(gateways[0], 'large', 80, { shards: 4 });
  await atBothEngines('large');
  const clients = await people(10);
  const works = await Promise.all(clients.map((client) => client.nextAssignment({ projects: ['large'] })));
  const rows: { name: string; leases: number }[] = await cluster
    .db('assignments as a')
    .join('shards as s', 's.id', 'a.shard_id')
    .join('nodes as n', 'n.incarnation', 's.owner')
    .groupBy('n.name')
    .orderBy('n.name')
    .select('n.name')
    .count({ leases: '*' });
  expect(rows.map((row) => row.name)).toEqual(['engine-1', 'engine-2']);
  for (const row of rows) expect(row.leases).toBeGreaterThan(1);
  for (const [i, work] of works.entries()) await clients[i]?.submit(work.id, {});
}, 120_000);

test('a project grows from one shard to four and shrinks to two while people work, and nothing is lost', async () => {
  const TASKS = 400;
  await cluster.project(gateways[0], 'large', TASKS);
  const clients = await people(6);
  const answered = new Set<string>();
  const stop = new AbortController();
  const work = async (client: BatonClient) => {
    try {
      for (;;) {
        const { id } = await client.nextAssignment({ projects: ['large'], signal: stop.signal });
        const { receipt } = await client.submit(id, { label: 'cat' });
        expect(receipt).toMatchObject({ status: 'counted', late: false });
        answered.add(id);
        if (answered.size === TASKS) stop.abort();
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  };
  const working = Promise.all(clients.map(work));
  const progress = (count: number) =>
    vi.waitFor(() => expect(answered.size).toBeGreaterThanOrEqual(count), { timeout: 60_000, interval: 10 });
  await progress(40);
  await cluster.call(gateways[1], 'PATCH', '/api/projects/large/settings', { shards: 4 });
  expect(await owners('large')).toHaveLength(4);
  await progress(160);
  await cluster.call(gateways[0], 'PATCH', '/api/projects/large/settings', { shards: 2 });
  await working;
  expect(answered.size).toBe(TASKS);
  const moved: { count: number }[] = await cluster
    .db('transitions')
    .where({ event: 45 })
    .count({ count: '*' });
  expect(moved[0]?.count).toBeGreaterThan(3);
  await atBothEngines('large');
}, 180_000);

test('who waits at a gateway is given what comes into a shard that was made meanwhile', async () => {
  await cluster.project(gateways[0], 'large', 0);
  const [person] = await people(1);
  const waiting = person?.nextAssignment({ projects: ['large'] });
  await vi.waitFor(() => expect(person?.waiting).toBeDefined());
  await cluster.call(gateways[1], 'PATCH', '/api/projects/large', { settings: { shards: 8 } });
  await cluster.tasks(gateways[1], 'large', 1);
  expect((await waiting)?.project).toBe('large');
}, 120_000);
