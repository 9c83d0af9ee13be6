import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_TOKEN, type ServerUnderTest, startServer } from './server-under-test.ts';

let server: ServerUnderTest;
let url: string;
beforeAll(async () => {
  server = await startServer();
  url = await server.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => server.stop());

interface Event {
  readonly cursor: string;
  readonly event: string;
  readonly shard: number;
  readonly at: string;
  readonly detail: Record<string, unknown> | null;
}

/** A project with these many shards and tasks. @returns the ids of the tasks. */
async function projectWith(slug: string, shards: number, tasks: number): Promise<number[]> {
  expect((await server.createProject(slug, { shards })).status).toBe(201);
  const rows = Array.from({ length: tasks }, (_, i) => ({ data: { private: i } }));
  expect((await server.call('POST', `/api/projects/${slug}/tasks`, rows)).body.created).toBe(tasks);
  const { body } = await server.call('GET', `/api/projects/${slug}/tasks?limit=1000`);
  return body.items.map((task: { id: number }) => task.id);
}

async function readOn(slug: string, from: string, limit = 7): Promise<{ seen: Event[]; cursor: string }> {
  const seen: Event[] = [];
  let cursor = from;
  for (;;) {
    const query = `${cursor === '' ? '' : `after=${cursor}&`}limit=${limit}`;
    const page = (await server.call('GET', `/api/projects/${slug}/events?${query}`)).body;
    cursor = page.cursor;
    if (page.events.length === 0) return { seen, cursor };
    seen.push(...page.events);
  }
}

/** Of each shard its numbers, in the order in which they came. */
function numbersByShard(seen: readonly Event[]): Map<number, number[]> {
  const numbers = new Map<number, number[]>();
  for (const { shard, cursor } of seen)
    numbers.set(shard, [...(numbers.get(shard) ?? []), Number(cursor.split('.')[shard])]);
  return numbers;
}

test('shards is a setting with limits, 1 unless it is chosen, also for a project that is older than it', async () => {
  expect((await server.createProject('plain')).body.settings.shards).toBe(1);
  expect((await server.createProject('many', { shards: 64 })).body.settings.shards).toBe(64);
  expect((await server.createProject('none', { shards: 0 })).status).toBe(400);
  await server.db('projects').where({ slug: 'plain' }).update({ settings: '{"overlap": 3}' });
  const { settings } = (await server.call('GET', '/api/projects/plain')).body;
  expect(settings).toMatchObject({ overlap: 3, shards: 1, weight: 1 });
  expect((await server.call('PATCH', '/api/projects/plain', { name: 'New' })).status).toBe(200);
});

test('the feed of several shards: each in order and without gaps, all in time, page by page', async () => {
  const ids = await projectWith('feed', 3, 30);
  for (const id of ids) await server.call('POST', `/api/projects/feed/tasks/${id}/cancel`);
  const { seen, cursor } = await readOn('feed', '');
  expect(seen).toHaveLength(33);
  for (const numbers of numbersByShard(seen).values()) expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  expect(seen.map((event) => event.at)).toEqual(seen.map((event) => event.at).sort());
  const { body } = await server.call('GET', '/api/projects/feed/stats');
  expect(body).toMatchObject({ cursor, tasks: { total: 30, cancelled: 30, waiting: 0 } });
  expect((await server.call('GET', '/api/projects/feed/events?after=latest')).body.cursor).toBe(cursor);
  // From the middle: what is behind it, and no more.
  const middle = seen[15]?.cursor ?? '';
  expect((await readOn('feed', middle, 100)).seen).toEqual(seen.slice(16));
  const listed = await server.call('GET', '/api/projects/feed/tasks?state=cancelled&limit=100');
  expect(listed.body.items.map((task: { id: number }) => task.id)).toEqual(ids);
});

test('a reader with the cursor of one shard goes on when the project grows, and waits for all of them', async () => {
  const ids = await projectWith('grows', 1, 60);
  const before = await readOn('grows', '');
  expect(before.cursor).toBe('1');
  const changed = await server.call('PATCH', '/api/projects/grows', { settings: { shards: 4 } });
  expect(changed.body.settings.shards).toBe(4);
  const after = await readOn('grows', before.cursor);
  for (const [shard, numbers] of numbersByShard(after.seen))
    expect(numbers).toEqual(numbers.map((_, i) => i + (shard === 0 ? 2 : 1)));
  const moved = after.seen.filter((event) => event.event === 'tasks_moved');
  expect(moved.map((event) => event.detail?.to)).toEqual([1, 2, 3]);
  const received = after.seen.filter((event) => event.event === 'tasks_received');
  expect(received.map((event) => event.shard).sort()).toEqual([1, 2, 3]);
  expect(JSON.stringify(after.seen)).not.toContain('private');
  const stats = (await server.call('GET', '/api/projects/grows/stats')).body;
  expect(stats).toMatchObject({ cursor: after.cursor, tasks: { total: 60, waiting: 60 } });
  for (const id of ids.slice(0, 8)) {
    const waiting = server.call('GET', `/api/projects/grows/events?after=latest&waitMs=20000`);
    await server.call('POST', `/api/projects/grows/tasks/${id}/cancel`);
    expect((await waiting).body.events.length).toBeLessThanOrEqual(1);
  }
  const task = (await server.call('GET', `/api/projects/grows/tasks/${ids[0]}`)).body;
  expect(task.history).toMatchObject([{ event: 'task_cancelled' }]);
});

test('server-sent events of several shards resume by their last id', async () => {
  const ids = await projectWith('stream', 3, 12);
  const open = async (headers: Record<string, string>) => {
    const call = get(`${url}/api/projects/stream/events`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, accept: 'text/event-stream', ...headers },
    });
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (piece: string) => {
      text += piece;
    });
    return { response, ids: () => [...text.matchAll(/^id: ([\d.]+)$/gm)].map((match) => match[1] ?? '') };
  };
  const stream = await open({});
  for (const id of ids) await server.call('POST', `/api/projects/stream/tasks/${id}/cancel`);
  await expect.poll(() => stream.ids().length, { timeout: 10_000 }).toBe(15);
  const all = stream.ids();
  stream.response.destroy();
  const resumed = await open({ 'last-event-id': all[9] ?? '' });
  await expect.poll(() => resumed.ids(), { timeout: 10_000 }).toEqual(all.slice(10));
  resumed.response.destroy();
  const wrong = await server.call('GET', '/api/projects/stream/events?after=1..2');
  expect(wrong.status).toBe(400);
});
