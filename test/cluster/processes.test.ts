import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BatonClient } from '../../client/index.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { ClusterUnderTest } from './cluster-under-test.ts';

let cluster: ClusterUnderTest;
let engines: [ServerProcess, ServerProcess];
let gateways: [ServerProcess, ServerProcess];

beforeEach(async () => {
  cluster = await ClusterUnderTest.start();
  const [g1, g2, e1, e2] = await Promise.all([
    cluster.node('gateway', 'gateway-1'),
    cluster.node('gateway', 'gateway-2'),
    cluster.node('engine', 'engine-1'),
    cluster.node('engine', 'engine-2'),
  ]);
  gateways = [g1, g2];
  engines = [e1, e2];
}, 60_000);

afterEach(async () => {
  expect(await cluster.close()).toEqual([]);
}, 60_000);

/** Whoever owns the project's shard, and the other engine. */
async function ownerAndOther(slug: string): Promise<[ServerProcess, ServerProcess]> {
  const name = await cluster.ownerOf(slug);
  const [first, second] = engines;
  if (name === 'engine-1') return [first, second];
  if (name === 'engine-2') return [second, first];
  throw new Error(`${slug} is owned by ${name}`);
}

async function workUntilDone(client: BatonClient, projects: string[]): Promise<number> {
  let done = 0;
  const stop = new AbortController();
  const idle = setTimeout(() => stop.abort(), 2_000);
  try {
    for (;;) {
      const work = await client.nextAssignment({ projects, signal: stop.signal });
      await client.submit(work.id, { label: 'cat' });
      done += 1;
      idle.refresh();
    }
  } catch (error) {
    if (stop.signal.aborted) return done;
    throw error;
  } finally {
    clearTimeout(idle);
  }
}

test('annotators at any gateway share the work of all engines, each answer once', async () => {
  const slugs = ['one', 'two', 'three', 'four'];
  for (const slug of slugs) await cluster.project(gateways[0], slug, 10, { overlap: 2 });
  const tokens = await Promise.all([0, 1, 0, 1].map((i) => cluster.annotator(gateways[i === 0 ? 0 : 1])));
  const clients = await Promise.all(
    tokens.map((token, i) => cluster.client(gateways[i % 2 === 0 ? 0 : 1], token)),
  );
  const done = await Promise.all(clients.map((client) => workUntilDone(client, slugs)));
  expect(done.reduce((a, b) => a + b, 0)).toBe(80);
  const owners = await Promise.all(slugs.map((slug) => cluster.ownerOf(slug)));
  expect(owners.sort()).toEqual(['engine-1', 'engine-1', 'engine-2', 'engine-2']);
}, 60_000);

test('who waits at several engines gets what comes free at either', async () => {
  await cluster.project(gateways[0], 'one', 1);
  await cluster.project(gateways[0], 'two', 1);
  const person = await cluster.client(gateways[0], await cluster.annotator(gateways[0]));
  await workUntilDone(person, ['one', 'two']);
  expect(new Set([await cluster.ownerOf('one'), await cluster.ownerOf('two')]).size).toBe(2);
  for (const slug of ['two', 'one']) {
    const waiting = person.nextAssignment({ projects: ['one', 'two'] });
    await vi.waitFor(() => expect(person.waiting).toBeDefined());
    await cluster.tasks(gateways[1], slug, 1);
    const work = await waiting;
    expect(work.project).toBe(slug);
    await person.submit(work.id, {});
  }
}, 60_000);

test('a killed engine: its shards are served again by themselves, with every lease and draft', async () => {
  await cluster.project(gateways[0], 'one', 5);
  const token = await cluster.annotator(gateways[0]);
  const person = await cluster.client(gateways[0], token);
  const work = await person.nextAssignment({ projects: ['one'] });
  person.saveDraft(work.id, { text: 'half' });
  await vi.waitFor(async () => expect((await cluster.db('drafts')).length).toBe(1));
  const [owner] = await ownerAndOther('one');
  owner.kill('SIGKILL');
  await owner.ended;
  const { receipt } = await person.submit(work.id, { text: 'whole' });
  expect(receipt).toMatchObject({ status: 'counted', late: false });
}, 60_000);

test('an engine that stops hands its shards over, and annotators notice nothing', async () => {
  for (const slug of ['one', 'two']) await cluster.project(gateways[0], slug, 20);
  const person = await cluster.client(gateways[0], await cluster.annotator(gateways[0]));
  let work = await person.nextAssignment({ projects: ['one', 'two'] });
  const [owner] = await ownerAndOther(work.project);
  const refusals: unknown[] = [];
  person.on('connection', (event) => refusals.push(event));
  owner.kill('SIGTERM');
  for (let i = 0; i < 5; i++) {
    const { next } = await person.submit(work.id, { i }, { next: true });
    if (!next || !('assignment' in next)) throw new Error('there was no next task');
    work = next.assignment;
  }
  expect((await owner.ended).code).toBe(0);
  expect(refusals).toEqual([]);
}, 60_000);

test('a gateway that is killed: the annotator goes on elsewhere with the same lease', async () => {
  await cluster.project(gateways[0], 'one', 5);
  const token = await cluster.annotator(gateways[0]);
  const first = await cluster.client(gateways[0], token);
  const work = await first.nextAssignment({ projects: ['one'] });
  gateways[0].kill('SIGKILL');
  const second = await cluster.client(gateways[1], token);
  expect(second.assignments.map((assignment) => assignment.id)).toEqual([work.id]);
  expect((await second.submit(work.id, {})).receipt.status).toBe('counted');
}, 60_000);

test('two tabs at two gateways show the same: what is done in one is seen in the other', async () => {
  await cluster.project(gateways[0], 'one', 5);
  const token = await cluster.annotator(gateways[0]);
  const first = await cluster.client(gateways[0], token);
  const second = await cluster.client(gateways[1], token);
  const work = await first.nextAssignment({ projects: ['one'] });
  await vi.waitFor(() => expect(second.assignments.map(({ id }) => id)).toEqual([work.id]));
  await second.submit(work.id, {});
  await vi.waitFor(() => expect(first.assignments).toEqual([]));
}, 60_000);

test('two nodes of one name are two nodes, and the log says so', async () => {
  const twin = await cluster.node('gateway,engine', 'engine-1');
  await cluster.project(twin, 'one', 2);
  const person = await cluster.client(twin, await cluster.annotator(twin));
  const work = await person.nextAssignment({ projects: ['one'] });
  expect((await person.submit(work.id, {})).receipt.status).toBe('counted');
  await vi.waitFor(() => expect(engines[0].log()).toContain('another process is called engine-1'));
}, 60_000);

test('an engine that stood still past its term comes back, commits nothing, and joins as a new one', async () => {
  await cluster.project(gateways[0], 'one', 5);
  const person = await cluster.client(gateways[0], await cluster.annotator(gateways[0]));
  const work = await person.nextAssignment({ projects: ['one'] });
  const [owner, other] = await ownerAndOther('one');
  owner.kill('SIGSTOP');
  expect((await person.submit(work.id, {})).receipt.status).toBe('counted');
  expect(await ownerAndOther('one')).toEqual([other, owner]);
  const before = await cluster.db('nodes').max('incarnation as last').first();
  owner.kill('SIGCONT');
  await vi.waitFor(
    async () => {
      const live = await cluster
        .db('nodes')
        .whereRaw(`renewed_at > now() - interval '2 seconds' and roles = 'engine'`)
        .max('incarnation as last')
        .count('* as count')
        .first();
      expect(live?.count).toBe(2);
      expect(live?.last).toBeGreaterThan(before?.last);
    },
    { timeout: 20_000, interval: 200 },
  );
}, 60_000);

test('without Redis remote shards answer that they are unavailable; with it, all goes on by itself', async () => {
  await cluster.project(gateways[0], 'one', 5);
  const person = await cluster.client(gateways[0], await cluster.annotator(gateways[0]));
  const work = await person.nextAssignment({ projects: ['one'] });
  await cluster.redis.stop();
  const impatient = person.submit(work.id, {});
  await cluster.redis.start();
  expect((await impatient).receipt.status).toBe('counted');
  const next = await person.nextAssignment({ projects: ['one'] });
  expect((await person.submit(next.id, {})).receipt.status).toBe('counted');
}, 60_000);
