import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_TOKEN, type ServerUnderTest, startServer } from './server-under-test.ts';

const NDJSON = { headers: { 'content-type': 'application/x-ndjson' } };
const CSV = { headers: { 'content-type': 'text/csv' } };

let server: ServerUnderTest;
let url: string;
beforeAll(async () => {
  server = await startServer();
  url = await server.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => server.stop());

async function stored(slug: string): Promise<{ external_id: string | null; data: unknown }[]> {
  return server
    .db({ t: 'tasks' })
    .join({ p: 'task_payloads' }, 'p.task_id', 't.id')
    .join({ j: 'projects' }, 'j.id', 't.project_id')
    .where('j.slug', slug)
    .orderBy('t.id')
    .select('t.external_id', 'p.data');
}

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

function liveBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A real upload over a socket, whose body comes from a generator. */
async function upload(slug: string, type: string, pieces: AsyncIterable<string> | Iterable<string>) {
  const call = request(`${url}/api/projects/${slug}/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': type },
  });
  const answered = once(call, 'response') as Promise<[IncomingMessage]>;
  await pipeline(Readable.from(pieces), call);
  const [response] = await answered;
  let text = '';
  for await (const piece of response) text += String(piece);
  return { status: response.statusCode, body: JSON.parse(text) };
}

test('the three forms create the same tasks', async () => {
  await server.createProject('forms');
  const json = await server.call('POST', '/api/projects/forms/tasks', [
    { data: { text: 'one' }, externalId: 'a', priority: 3, overlap: 2 },
  ]);
  const ndjson = await server.call('POST', '/api/projects/forms/tasks', '{"text":"two","id":"b"}\n', NDJSON);
  const csv = await server.call(
    'POST',
    '/api/projects/forms/tasks',
    'externalId,text,priority\nc,three,7\n',
    CSV,
  );
  for (const answer of [json, ndjson, csv]) {
    expect(answer.body).toEqual({ created: 1, duplicates: 0, rejectedCount: 0, rejected: [] });
  }
  expect(await stored('forms')).toEqual([
    { external_id: 'a', data: { text: 'one' } },
    { external_id: 'b', data: { text: 'two', id: 'b' } },
    { external_id: 'c', data: { text: 'three' } },
  ]);
  const list = (await server.call('GET', '/api/projects/forms/tasks')).body.items;
  expect(list.map((task: { priority: number; overlap: number }) => [task.priority, task.overlap])).toEqual([
    [3, 2],
    [0, 1],
    [7, 1],
  ]);
});

test('an import is idempotent by externalId, within itself and when it is repeated', async () => {
  await server.createProject('again');
  const lines = ['{"data":1,"externalId":"x"}', '{"data":2,"externalId":"x"}', '{"data":3}'].join('\n');
  const first = await server.call('POST', '/api/projects/again/tasks', lines, NDJSON);
  const second = await server.call('POST', '/api/projects/again/tasks', lines, NDJSON);
  expect(first.body).toMatchObject({ created: 2, duplicates: 1 });
  expect(second.body).toMatchObject({ created: 1, duplicates: 2 });
  expect((await stored('again')).map((row) => row.data)).toEqual([1, 3, 3]);
});

test('two imports of the same tasks in opposite orders both finish', async () => {
  await server.createProject('opposite');
  const ids = Array.from({ length: 3_000 }, (_, i) => `{"data":${i},"externalId":"${i}"}`);
  const answers = await Promise.all([
    server.call('POST', '/api/projects/opposite/tasks', ids.join('\n'), NDJSON),
    server.call('POST', '/api/projects/opposite/tasks', [...ids].reverse().join('\n'), NDJSON),
  ]);
  expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
  expect(answers[0]?.body.created + answers[1]?.body.created).toBe(3_000);
});

test('a broken line in the middle of a CSV is reported with its number and the rest goes on', async () => {
  await server.createProject('broken-csv');
  const text = 'id,text\n1,ok\n2,"never closed\n3,fine\n4,too,many\n5,"last"\n';
  const answer = await server.call('POST', '/api/projects/broken-csv/tasks', text, CSV);
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({
    created: 3,
    duplicates: 0,
    rejectedCount: 2,
    rejected: [
      { line: 3, code: 'malformed' },
      { line: 5, code: 'malformed' },
    ],
  });
  expect((await stored('broken-csv')).map((row) => row.external_id)).toEqual(['1', '3', '5']);
});

test('a value that Postgres cannot store does not take its neighbours down', async () => {
  await server.createProject('unstorable');
  const lines = [
    '{"data":"fine"}',
    '{"data":"a\\u0000b"}',
    '{"data":"\\ud800"}',
    '{"data":1e308,"priority":-32000}',
  ];
  const answer = await server.call('POST', '/api/projects/unstorable/tasks', lines.join('\n'), NDJSON);
  expect(answer.body).toMatchObject({ created: 2, rejectedCount: 2 });
});

test('the list of rejected rows is bounded and their number is not', async () => {
  await server.createProject('all-bad');
  const answer = await server.call('POST', '/api/projects/all-bad/tasks', 'nope\n'.repeat(1_500), NDJSON);
  expect(answer.body).toMatchObject({ created: 0, rejectedCount: 1_500 });
  expect(answer.body.rejected).toHaveLength(1_000);
});

test.each([
  ['an object instead of an array', '{"data":1}', 'application/json'],
  ['an array that is cut off', '[{"data":1},{"da', 'application/json'],
  ['an empty body', '', 'application/json'],
  ['an empty CSV', '', 'text/csv'],
])('%s is a problem that says what stays', async (name, body, type) => {
  await server.createProject(`cut-${name.length}`);
  const answer = await server.call('POST', `/api/projects/cut-${name.length}/tasks`, body, {
    headers: { 'content-type': type },
  });
  expect(answer.status).toBe(400);
  expect(answer.body).toMatchObject({ code: 'malformed', created: body.startsWith('[') ? 1 : 0 });
});

test('other content types, encodings and projects are refused before the body is read', async () => {
  const path = '/api/projects/forms/tasks';
  const xml = await server.call('POST', path, '<x/>', { headers: { 'content-type': 'text/xml' } });
  const gzip = await server.call('POST', path, 'x', {
    headers: { ...NDJSON.headers, 'content-encoding': 'gzip' },
  });
  expect([xml.status, gzip.status]).toEqual([415, 415]);
  expect((await server.call('POST', '/api/projects/none/tasks', [])).status).toBe(404);
  expect((await server.call('POST', `${path}?delimiter=x`, 'a', CSV)).status).toBe(400);
});

test('100,000 lines go in over a socket in bounded memory, and are counted by the shard', async () => {
  await server.createProject('many');
  const filler = 'x'.repeat(1_000);
  let peak = 0;
  async function* lines() {
    for (let i = 0; i < 100_000; i += 100) {
      let piece = '';
      for (let j = i; j < i + 100; j++)
        piece += `{"data":{"n":${j},"text":"${filler}"},"externalId":"t${j}"}\n`;
      yield piece;
      if (i % 5_000 === 0) peak = Math.max(peak, liveBytes());
    }
  }
  const before = liveBytes();
  const answer = await upload('many', 'application/x-ndjson', lines());
  expect(answer.body).toEqual({ created: 100_000, duplicates: 0, rejectedCount: 0, rejected: [] });
  // The body is 105 MB. A chunk of 1,000 tasks in its forms (rows, parameters, a write buffer) is a few.
  expect(peak - before).toBeLessThan(40 * 1024 * 1024);
  const stats = await server.call('GET', '/api/projects/many/stats');
  expect(stats.body.tasks).toMatchObject({ total: 100_000, waiting: 100_000 });
});

test('a client that goes away in the middle leaves what was committed, and repeating finishes it', async () => {
  await server.createProject('gone');
  const lines = Array.from({ length: 5_000 }, (_, i) => `{"data":${i},"externalId":"g${i}"}\n`);
  const call = request(`${url}/api/projects/gone/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/x-ndjson' },
  });
  call.on('error', () => undefined);
  call.write(lines.slice(0, 2_500).join(''));
  await expect.poll(async () => (await stored('gone')).length, { timeout: 10_000 }).toBe(2_000);
  call.destroy();
  await expect.poll(() => server.log().includes('"status":400'), { timeout: 10_000 }).toBe(true);
  expect((await stored('gone')).length).toBe(2_000);
  const again = await upload('gone', 'application/x-ndjson', lines);
  expect(again.body).toMatchObject({ created: 3_000, duplicates: 2_000 });
});

test('a full disk in the middle is a retryable problem that says how many were created', async () => {
  await server.createProject('full');
  // The database says what a full disk says when the row that does not fit any more comes.
  await server.db.raw(`
    create function refuse() returns trigger language plpgsql as $$
      begin raise exception using errcode = '53100', message = 'could not extend file: No space left on device'; end $$;
    create trigger refuse before insert on tasks for each row when (new.external_id = 'f1500') execute function refuse();
  `);
  const lines = Array.from({ length: 3_000 }, (_, i) => `{"data":${i},"externalId":"f${i}"}\n`);
  const refused = await upload('full', 'application/x-ndjson', lines);
  expect(refused).toMatchObject({
    status: 507,
    body: { code: 'insufficient_storage', retryable: true, created: 1_000 },
  });
  await server.db.raw('drop trigger refuse on tasks; drop function refuse');
  const again = await upload('full', 'application/x-ndjson', lines);
  expect(again.body).toMatchObject({ created: 2_000, duplicates: 1_000 });
});

test('the strategy decides the order of the queue, also when it is changed later', async () => {
  await server.createProject('order', { strategy: 'priority' });
  const lines = Array.from({ length: 50 }, (_, i) => `{"data":${i},"priority":${i % 3}}`).join('\n');
  await server.call('POST', '/api/projects/order/tasks', lines, NDJSON);
  const queue = () =>
    server
      .db({ t: 'tasks' })
      .join({ j: 'projects' }, 'j.id', 't.project_id')
      .where('j.slug', 'order')
      .orderBy(['t.queue_priority', 't.queue_rank'])
      .select('t.id', 't.priority', 't.queue_rank');
  const byPriority = await queue();
  expect(byPriority.map((task) => task.priority)).toEqual(
    [...byPriority.map((t) => t.priority)].sort().reverse(),
  );
  const random = await server.call('PATCH', '/api/projects/order/settings', { strategy: 'random' });
  expect(random.status).toBe(200);
  const shuffled = await queue();
  expect(shuffled.map((task) => task.id)).not.toEqual(
    [...shuffled.map((task) => task.id)].sort((a, b) => a - b),
  );
  expect(new Set(shuffled.map((task) => task.queue_rank)).size).toBe(50);
  await server.call('PATCH', '/api/projects/order/settings', { strategy: 'sequential' });
  const sequential = await queue();
  expect(sequential.map((task) => task.id)).toEqual(
    [...sequential.map((task) => task.id)].sort((a, b) => a - b),
  );
});
