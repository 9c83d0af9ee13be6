import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServerUnderTest, startServer } from './server-under-test.ts';

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

test('a project is created with defaults, read, listed and changed', async () => {
  const created = await server.call('POST', '/api/projects', {
    slug: 'first',
    name: 'First',
    settings: { overlap: 3 },
  });
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject({
    slug: 'first',
    name: 'First',
    status: 'active',
    settings: { overlap: 3, heartbeatMs: 45_000, strategy: 'priority', resultSchema: null },
  });
  expect((await server.call('GET', '/api/projects/first')).body).toEqual(created.body);
  const changed = await server.call('PATCH', '/api/projects/first', {
    name: 'Renamed',
    settings: { strategy: 'random' },
  });
  expect(changed.body).toMatchObject({ name: 'Renamed', settings: { overlap: 3, strategy: 'random' } });
  const settings = await server.call('PATCH', '/api/projects/first/settings', {
    overlap: 2,
    interface: { v: [1] },
  });
  expect(settings.body.settings).toMatchObject({ overlap: 2, strategy: 'random', interface: { v: [1] } });
  const shards = await server.db('shards').where({ project_id: created.body.id });
  expect(shards).toMatchObject([{ part: 0 }]);
});

test('a slug is taken once', async () => {
  await server.createProject('taken');
  const again = await server.createProject('taken');
  expect([again.status, again.body.code]).toEqual([409, 'conflict']);
});

test.each<[string, unknown, number, string, string | undefined]>([
  ['no body', undefined, 400, 'malformed', undefined],
  ['not JSON', '{"slug":', 400, 'malformed', undefined],
  ['a bad slug', { slug: 'Not A Slug' }, 400, 'malformed', 'slug'],
  ['an unknown key', { slug: 'x', nome: 'y' }, 400, 'malformed', undefined],
  ['an unknown setting', { slug: 'x', settings: { overlp: 2 } }, 400, 'malformed', 'settings'],
  ['a setting out of bounds', { slug: 'x', settings: { overlap: 0 } }, 400, 'malformed', 'settings.overlap'],
  ['a name with U+0000', { slug: 'x', name: 'a\u0000b' }, 400, 'malformed', 'name'],
  [
    'a contradiction',
    { slug: 'x', settings: { maxDurationMs: 1_000, heartbeatMs: 2_000 } },
    422,
    'invalid',
    'settings.heartbeatMs',
  ],
  [
    'a schema that does not compile',
    { slug: 'x', settings: { resultSchema: { type: 'strange' } } },
    422,
    'invalid',
    'settings.resultSchema',
  ],
  ['deep nesting', `{"slug":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 400, 'malformed', undefined],
  ['a poisoned key', '{"slug":"x","__proto__":{"a":1}}', 400, 'malformed', undefined],
  ['a body that is too large', { slug: 'x', name: 'x'.repeat(1_100_000) }, 413, 'too_large', undefined],
])('%s is refused with its path', async (_, body, status, code, path) => {
  const answer = await server.call('POST', '/api/projects', body);
  expect(answer.headers['content-type']).toContain('application/problem+json');
  expect(answer.body).toMatchObject({ status, code, retryable: false, type: `urn:baton:error:${code}` });
  expect(answer.status).toBe(status);
  if (path !== undefined) expect(answer.body.errors[0].path).toBe(path);
  expect((await server.call('GET', '/api/projects/x')).status).toBe(404);
});

test('an unknown setting is named', async () => {
  const answer = await server.createProject('x', { overlp: 1 });
  expect(answer.body.errors[0].message).toContain('overlp');
});

test('other content types and unknown routes are problems too', async () => {
  const xml = await server.call('POST', '/api/projects', '<x/>', { headers: { 'content-type': 'text/xml' } });
  expect([xml.status, xml.body.code]).toEqual([415, 'unsupported_media_type']);
  const unknown = await server.call('GET', '/api/nothing');
  expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found']);
  for (const path of [
    '/api/projects/..%2f',
    '/api/projects/%ff',
    '/api/projects/first/tasks/99999999999999999999',
  ]) {
    const answer = await server.call('GET', path);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  }
});

test('a change that contradicts what is there is refused and changes nothing', async () => {
  await server.createProject('steady', { heartbeatMs: 60_000 });
  const refused = await server.call('PATCH', '/api/projects/steady', {
    settings: { maxDurationMs: 30_000, overlap: 9 },
  });
  expect([refused.status, refused.body.code]).toEqual([422, 'invalid']);
  expect((await server.call('GET', '/api/projects/steady')).body.settings).toMatchObject({
    overlap: 1,
    maxDurationMs: 1_800_000,
  });
});

test('pause, resume and archive may be repeated; archived is for good', async () => {
  await server.createProject('cycle');
  const act = async (action: string) => (await server.call('POST', `/api/projects/cycle/${action}`)).body;
  expect((await act('pause')).status).toBe('paused');
  expect((await act('pause')).status).toBe('paused');
  expect((await act('resume')).status).toBe('active');
  expect((await act('archive')).status).toBe('archived');
  expect((await act('archive')).status).toBe('archived');
  expect((await act('resume')).code).toBe('conflict');
  expect((await server.call('PATCH', '/api/projects/cycle', { name: 'x' })).status).toBe(409);
  const tasks = await server.call('POST', '/api/projects/cycle/tasks', [{ data: 1 }]);
  expect(tasks.status).toBe(409);
  expect((await server.call('POST', '/api/projects/none/pause')).status).toBe(404);
});

test('a list is read page by page, and new rows do not disturb it', async () => {
  for (let i = 0; i < 5; i++) await server.createProject(`page-${i}`);
  const first = await server.call('GET', '/api/projects?limit=3');
  await server.createProject('page-later');
  const slugs = first.body.items.map((project: { slug: string }) => project.slug);
  let { next } = first.body;
  while (next !== null) {
    const page = (await server.call('GET', `/api/projects?limit=3&cursor=${next}`)).body;
    slugs.push(...page.items.map((project: { slug: string }) => project.slug));
    next = page.next;
  }
  expect(new Set(slugs).size).toBe(slugs.length);
  expect(slugs).toContain('page-later');
  for (const query of [
    'cursor=t1',
    'cursor=x',
    'limit=0',
    'limit=1001',
    'limt=3',
    `cursor=p${'9'.repeat(17)}`,
  ]) {
    expect([query, (await server.call('GET', `/api/projects?${query}`)).status]).toEqual([query, 400]);
  }
});

test('an annotator is created once, and repeating answers the same one', async () => {
  const wish = { externalId: 'a-1', name: 'Ada', skills: { french: 70 }, capacity: 2 };
  const first = await server.call('POST', '/api/annotators', wish);
  const again = await server.call('POST', '/api/annotators', { externalId: 'a-1', name: 'Other' });
  expect([first.status, again.status]).toEqual([201, 200]);
  expect(again.body).toEqual(first.body);
  expect(first.body).toMatchObject({ capacity: 2, skills: { french: 70 }, status: 'active' });
  const changed = await server.call('PATCH', `/api/annotators/${first.body.id}`, {
    capacity: 5,
    skills: { german: 20, french: null },
  });
  expect(changed.body).toMatchObject({ name: 'Ada', capacity: 5, skills: { german: 20 } });
  expect((await server.call('GET', '/api/annotators?externalId=a-1')).body.items).toEqual([changed.body]);
  for (const body of [
    {},
    { externalId: '' },
    { externalId: 'x', capacity: 0 },
    { externalId: 'x', skills: { a: 101 } },
  ]) {
    expect((await server.call('POST', '/api/annotators', body)).status).toBe(400);
  }
});

test('an annotator is paused, resumed, banned and let in again', async () => {
  const { id } = await server.createAnnotator('a-2');
  const act = (action: string, body?: unknown) =>
    server.call('POST', `/api/annotators/${id}/${action}`, body);
  expect((await act('pause', { reason: 'holiday' })).body).toMatchObject({
    status: 'paused',
    statusReason: 'holiday',
  });
  expect((await act('resume')).body).toMatchObject({ status: 'active', statusReason: null });
  expect((await act('ban', { reason: 'spam' })).body.status).toBe('banned');
  expect((await act('resume')).body.code).toBe('conflict');
  expect((await act('unban')).body.status).toBe('active');
  expect((await server.call('GET', '/api/annotators?status=banned')).body.items).toEqual([]);
  expect((await server.call('POST', '/api/annotators/999999/ban')).status).toBe(404);
});

test('members are added all or none, listed and taken out', async () => {
  await server.createProject('club', { access: 'members' });
  const one = await server.createAnnotator('m-1');
  const two = await server.createAnnotator('m-2');
  const none = await server.call('POST', '/api/projects/club/members', { annotatorIds: [one.id, 999_999] });
  expect(none.status).toBe(404);
  expect((await server.call('GET', '/api/projects/club/members')).body.items).toEqual([]);
  const added = await server.call('POST', '/api/projects/club/members', {
    annotatorIds: [one.id, two.id, one.id],
  });
  expect(added.body).toEqual({ added: 2 });
  expect((await server.call('DELETE', `/api/projects/club/members/${one.id}`)).body).toEqual({
    removed: true,
  });
  expect((await server.call('DELETE', `/api/projects/club/members/${one.id}`)).body).toEqual({
    removed: false,
  });
  expect((await server.call('GET', '/api/projects/club/members')).body.items).toMatchObject([{ id: two.id }]);
});

test('every admin change is in the audit log, without names', async () => {
  const rows = await server.db('audit_log').select('*');
  const actions = new Set(rows.map((row: { action: string }) => row.action));
  for (const action of [
    'project.create',
    'project.change',
    'project.paused',
    'annotator.ban',
    'members.add',
  ]) {
    expect([...actions]).toContain(action);
  }
  expect(JSON.stringify(rows)).not.toContain('Ada');
});
