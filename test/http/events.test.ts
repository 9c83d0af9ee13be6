import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ADMIN_TOKEN, type ServerUnderTest, startServer } from './server-under-test.ts';

let server: ServerUnderTest;
let url: string;
beforeAll(async () => {
  server = await startServer({ feedHeartbeatMs: 50, feedFollowersMax: 3 });
  url = await server.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => server.stop());

interface Event {
  readonly cursor: string;
  readonly event: string;
}

async function projectWith(slug: string, tasks: number): Promise<number[]> {
  await server.createProject(slug);
  const rows = Array.from({ length: tasks }, (_, i) => ({ data: { private: i } }));
  await server.call('POST', `/api/projects/${slug}/tasks`, rows);
  const { body } = await server.call('GET', `/api/projects/${slug}/tasks`);
  return body.items.map((task: { id: number }) => task.id);
}

async function openStream(slug: string, more: { query?: string; headers?: Record<string, string> } = {}) {
  const call = get(`${url}/api/projects/${slug}/events${more.query ?? ''}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, accept: 'text/event-stream', ...more.headers },
  });
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (piece: string) => {
    text += piece;
  });
  return {
    response,
    text: () => text,
    ids: () => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1])),
  };
}

test('the feed is in order, without gaps, and read page by page', async () => {
  const ids = await projectWith('order', 5);
  for (const id of ids) await server.call('POST', `/api/projects/order/tasks/${id}/cancel`);
  await server.call('POST', '/api/projects/order/pause');
  const seen: Event[] = [];
  let after = '0';
  for (;;) {
    const page = (await server.call('GET', `/api/projects/order/events?after=${after}&limit=2`)).body;
    if (page.events.length === 0) break;
    seen.push(...page.events);
    after = page.cursor;
  }
  expect(seen.map((event) => Number(event.cursor))).toEqual(seen.map((_, i) => i + 1));
  expect(seen.map((event) => event.event)).toEqual([
    'imported',
    ...ids.map(() => 'task_cancelled'),
    'project_paused',
  ]);
  expect(JSON.stringify(seen)).not.toContain('private');
});

test('a reader that waits is woken by the next event, and told nothing when the time is over', async () => {
  const [id] = await projectWith('wait', 1);
  const end = (await server.call('GET', '/api/projects/wait/events?after=latest')).body;
  const nothing = await server.call('GET', `/api/projects/wait/events?after=${end.cursor}&waitMs=20`);
  expect(nothing.body).toEqual({ events: [], cursor: end.cursor });
  const waiting = server.call('GET', `/api/projects/wait/events?after=${end.cursor}&waitMs=20000`);
  await server.call('POST', `/api/projects/wait/tasks/${id}/cancel`);
  expect((await waiting).body.events).toMatchObject([{ event: 'task_cancelled', taskId: id }]);
  const latest = server.call('GET', '/api/projects/wait/events?after=latest&waitMs=20000');
  await server.call('POST', `/api/projects/wait/tasks/${id}/requeue`);
  expect((await latest).body.events.length).toBeLessThanOrEqual(1);
});

test('server-sent events bring what was and what comes, and resume by their last id', async () => {
  const ids = await projectWith('stream', 3);
  const stream = await openStream('stream');
  expect(stream.response.headers['content-type']).toContain('text/event-stream');
  for (const id of ids) await server.call('POST', `/api/projects/stream/tasks/${id}/cancel`);
  await expect.poll(stream.ids, { timeout: 5_000 }).toEqual([1, 2, 3, 4]);
  await expect.poll(stream.text, { timeout: 5_000 }).toContain(': still here');
  stream.response.destroy();
  const resumed = await openStream('stream', { headers: { 'last-event-id': '2' } });
  await expect.poll(resumed.ids, { timeout: 5_000 }).toEqual([3, 4]);
  resumed.response.destroy();
});

test('a stream ends when its token is revoked', async () => {
  await projectWith('revoked', 1);
  const key = (await server.call('POST', '/api/keys', { name: 'reader', role: 'supervisor' })).body;
  const stream = await openStream('revoked', { headers: { authorization: `Bearer ${key.token}` } });
  const ended = once(stream.response, 'end');
  await server.call('DELETE', `/api/keys/${key.id}`);
  await ended;
});

test('readers beyond the limit are told to come back, and a wrong cursor is refused', async () => {
  await projectWith('crowd', 1);
  const streams: Awaited<ReturnType<typeof openStream>>[] = [];
  await expect
    .poll(async () => {
      const stream = await openStream('crowd');
      streams.push(stream);
      return stream.response.statusCode;
    })
    .toBe(503);
  for (const stream of streams) stream.response.destroy();
  expect((await server.call('GET', '/api/projects/crowd/events?after=x')).status).toBe(400);
  expect((await server.call('GET', '/api/projects/crowd/events?waitMs=99999')).status).toBe(400);
  const header = { accept: 'text/event-stream', 'last-event-id': 'x' };
  expect(
    (await server.call('GET', '/api/projects/crowd/events', undefined, { headers: header })).status,
  ).toBe(400);
  expect((await server.call('GET', '/api/projects/none/events')).status).toBe(404);
});

test('closing the server ends streams and waiting readers at once', async () => {
  const other = await startServer();
  const address = await other.app.listen({ port: 0, host: '127.0.0.1' });
  await other.createProject('closing');
  const path = `${address}/api/projects/closing/events`;
  const call = get(path, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, accept: 'text/event-stream' },
  });
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  response.resume();
  const ended = once(response, 'close');
  await other.createProject('polled');
  const reads = vi.spyOn(other.admin.feed, 'read');
  const poll = fetch(`${address}/api/projects/polled/events?waitMs=30000`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  // The second read of a reader is the one after which it waits.
  await expect.poll(() => reads.mock.calls.filter(([slug]) => slug === 'polled').length).toBe(2);
  const startedAtMs = performance.now();
  await other.app.close();
  expect(performance.now() - startedAtMs).toBeLessThan(3_000);
  await Promise.all([ended, poll]);
  await other.stop();
});
