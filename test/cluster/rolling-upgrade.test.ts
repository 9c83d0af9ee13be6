import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BatonClient } from '../../client/index.ts';
import { CuttableProxy } from '../replay/cuttable-proxy.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { ClusterUnderTest } from './cluster-under-test.ts';
import { makeNextRelease, type NextRelease } from './next-release.ts';

const TASKS = 2_000;
const ROLES = 'gateway,engine';

let cluster: ClusterUnderTest;
let next: NextRelease;
let balancer: CuttableProxy | undefined;

beforeEach(async () => {
  next = makeNextRelease();
  cluster = await ClusterUnderTest.start();
}, 60_000);

afterEach(async () => {
  expect(await cluster.close()).toEqual([]);
  await balancer?.stop();
  next.remove();
}, 60_000);

/** Works until there is nothing more, or told to stop. @returns the assignments whose receipt came. */
async function work(client: BatonClient, stop: AbortSignal): Promise<string[]> {
  const done: string[] = [];
  try {
    while (!stop.aborted) {
      const task = await client.nextAssignment({ projects: ['one'], signal: stop });
      await client.submit(task.id, { label: 'cat' });
      done.push(task.id);
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  }
  return done;
}

function aim(...nodes: readonly ServerProcess[]): void {
  balancer?.aim(...nodes.map((node) => Number(new URL(node.url).port)));
}

async function stopped(node: ServerProcess): Promise<void> {
  node.kill('SIGTERM');
  expect((await node.ended).code).toBe(0);
}

async function moreAnswers(): Promise<void> {
  const count = async () => Number((await cluster.db('annotations').count('* as n').first())?.n);
  const before = await count();
  await vi.waitFor(async () => expect(await count()).toBeGreaterThan(before + 20), { timeout: 20_000 });
}

test('two releases side by side: nodes are replaced one by one while people work, and nothing is lost', async () => {
  const [first, second] = await Promise.all([cluster.node(ROLES, 'old-1'), cluster.node(ROLES, 'old-2')]);
  await cluster.project(first, 'one', TASKS);
  const port = Number(new URL(first.url).port);
  balancer = await CuttableProxy.start(port);
  aim(first, second);
  const stop = new AbortController();
  const { url } = balancer;
  const tokens = await Promise.all([1, 2, 3, 4].map(() => cluster.annotator(first)));
  const clients = await Promise.all(tokens.map((token) => cluster.client({ ...first, url }, token)));
  const working = Promise.allSettled(clients.map((client) => work(client, stop.signal)));
  await moreAnswers();

  const third = await cluster.node(ROLES, 'new-1', next.launcher);
  aim(first, second, third);
  await moreAnswers();
  // One of the old release starts again beside the new schema, as an orchestrator does with one that crashed.
  const again = await cluster.node(ROLES, 'old-3');
  aim(second, third, again);
  await stopped(first);
  await moreAnswers();
  const fourth = await cluster.node(ROLES, 'new-2', next.launcher);
  aim(third, fourth);
  await Promise.all([stopped(second), stopped(again)]);
  await moreAnswers();

  stop.abort();
  const ends = await working;
  expect(ends.filter((end) => end.status === 'rejected')).toEqual([]);
  const done = ends.flatMap((end) => (end.status === 'fulfilled' ? end.value : []));
  const answers: { assignment_id: number }[] = await cluster.db('annotations').select('assignment_id');
  expect(new Set(done).size).toBe(done.length);
  expect(answers.length).toBeGreaterThanOrEqual(done.length);
  const versions = await cluster
    .db('nodes')
    .whereRaw(`renewed_at > now() - interval '2 seconds'`)
    .distinct('version');
  expect(versions).toEqual([{ version: next.version }]);
}, 120_000);
