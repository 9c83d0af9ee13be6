import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { AssignmentView } from '../../engine/door.ts';
import { type AnnotatorId, type AssignmentId, asId, formatAssignmentRef } from '../../engine/ids.ts';
import type { Json } from '../../engine/settings.ts';
import { type ServerUnderTest, startServer } from './server-under-test.ts';

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

let requests = 0;

test('who waits for a project that is created later, or for any, is given its first tasks', async () => {
  await server.createProject('there-before');
  const [forAny, forOne] = [await connected('waits-for-any'), await connected('waits-for-one')];
  const wait = (annotatorId: AnnotatorId, projects?: string[]) =>
    server.engine.work.request({ annotatorId, requestId: 'r', ...(projects && { projects }) });
  expect(await wait(forAny)).toMatchObject({ ok: true, value: { waiting: {} } });
  await server.createProject('created-later', { overlap: 2 });
  expect(await wait(forOne, ['created-later'])).toMatchObject({ ok: true, value: { waiting: {} } });
  await server.call('POST', '/api/projects/created-later/tasks', [{ data: { text: 'a' } }]);
  for (const annotatorId of [forAny, forOne]) {
    await vi.waitFor(async () => {
      const state = await server.engine.work.state(annotatorId);
      expect(state).toMatchObject({ value: { assignments: [{ project: 'created-later' }] } });
    });
    server.engine.work.disconnect(annotatorId);
  }
});

async function connected(externalId: string): Promise<AnnotatorId> {
  const { id } = await server.createAnnotator(externalId);
  const annotatorId = asId<AnnotatorId>(id);
  expect(await server.engine.work.connect(annotatorId)).toMatchObject({ ok: true });
  return annotatorId;
}

async function lease(annotatorId: AnnotatorId, slug: string): Promise<AssignmentView> {
  const requestId = `r${requests++}`;
  const answer = await server.engine.work.request({ annotatorId, requestId, projects: [slug] });
  if (!answer.ok || !('assignment' in answer.value)) throw new Error(`no work: ${JSON.stringify(answer)}`);
  return answer.value.assignment;
}

async function answer(annotatorId: AnnotatorId, slug: string, result: Json): Promise<AssignmentView> {
  const work = await lease(annotatorId, slug);
  const submissionId = `s${requests++}`;
  const submitted = await server.engine.work.submit({
    annotatorId,
    ref: work.ref,
    submissionId,
    result,
    next: false,
  });
  expect(submitted).toMatchObject({ ok: true });
  return work;
}

async function projectWith(slug: string, tasks: readonly unknown[], settings: Record<string, unknown> = {}) {
  expect((await server.createProject(slug, settings)).status).toBe(201);
  const imported = await server.call('POST', `/api/projects/${slug}/tasks`, tasks);
  expect(imported.body.created).toBe(tasks.length);
}

async function taskIds(slug: string, query = ''): Promise<number[]> {
  const { body } = await server.call('GET', `/api/projects/${slug}/tasks${query}`);
  return body.items.map((task: { id: number }) => task.id);
}

test('one task shows its data, its assignments, its answers and its whole history', async () => {
  await projectWith('detail', [{ data: { q: 'private question' }, externalId: 'x' }], { overlap: 2 });
  const one = await connected('detail-1');
  const two = await connected('detail-2');
  const first = await answer(one, 'detail', { label: 'private answer' });
  const second = await lease(two, 'detail');
  const [id] = await taskIds('detail');
  const task = (await server.call('GET', `/api/projects/detail/tasks/${id}`)).body;
  expect(task).toMatchObject({
    externalId: 'x',
    state: 'waiting',
    hold: null,
    overlap: 2,
    filled: 1,
    open: 1,
    data: { q: 'private question' },
    historyTruncated: false,
  });
  expect(task.assignments).toMatchObject([
    { id: formatAssignmentRef(second.ref), state: 'active', annotatorId: two },
    { id: formatAssignmentRef(first.ref), state: 'submitted', annotatorId: one },
  ]);
  expect(task.annotations).toMatchObject([{ result: { label: 'private answer' }, counted: true }]);
  const events = task.history.map((event: { event: string }) => event.event);
  expect(events).toEqual(['assigned', 'submitted', 'assigned']);
  expect(JSON.stringify(task.history)).not.toContain('private');
  expect((await server.call('GET', '/api/projects/detail/tasks/999999')).status).toBe(404);
  await projectWith('elsewhere', []);
  expect((await server.call('GET', `/api/projects/elsewhere/tasks/${id}`)).status).toBe(404);
});

test('tasks are filtered, and paged by a cursor that stays right while tasks come in', async () => {
  const rows = Array.from({ length: 25 }, (_, i) => ({ data: i, externalId: `f${i}`, priority: i % 5 }));
  await projectWith('filters', rows);
  const ids: number[] = [];
  let next: string | null = '';
  while (next !== null) {
    const page: { items: { id: number }[]; next: string | null } = (
      await server.call('GET', `/api/projects/filters/tasks?limit=10${next && `&cursor=${next}`}`)
    ).body;
    ids.push(...page.items.map((task) => task.id));
    if (next === '')
      await server.call('POST', '/api/projects/filters/tasks', [{ data: 'late', externalId: 'late' }]);
    next = page.next;
  }
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  expect(ids).toHaveLength(26);
  const [third] = await taskIds('filters', '?externalId=f3');
  expect(third).toBe(ids[3]);
  expect(await taskIds('filters', '?priority=4')).toHaveLength(5);
  expect(await taskIds('filters', '?priorityMin=3')).toHaveLength(10);
  await server.call('POST', `/api/projects/filters/tasks/${third}/cancel`);
  expect(await taskIds('filters', '?state=cancelled')).toEqual([third]);
  expect(await taskIds('filters', '?state=cancelled,waiting')).toHaveLength(26);
  expect(await taskIds('filters', '?hold=supervisor')).toEqual([]);
  for (const query of ['state=strange', 'priority=x', 'cursor=p1', 'unknown=1']) {
    const refused = await server.call('GET', `/api/projects/filters/tasks?${query}`);
    expect([query, refused.status]).toEqual([query, 400]);
  }
});

test('a task is cancelled, requeued, and given another priority and overlap', async () => {
  await projectWith('control', [{ data: 1 }]);
  const [id] = await taskIds('control');
  const path = `/api/projects/control/tasks/${id}`;
  expect((await server.call('POST', `${path}/cancel`)).body.state).toBe('cancelled');
  expect((await server.call('POST', `${path}/requeue`)).body.state).toBe('waiting');
  const changed = await server.call('PATCH', path, { priority: 9, overlap: 3 });
  expect(changed.body).toMatchObject({ priority: 9, overlap: 3 });
  for (const body of [{}, { priority: 1.5 }, { overlap: 0 }, { prio: 1 }]) {
    expect((await server.call('PATCH', path, body)).status).toBe(400);
  }
  const none = await server.call('POST', '/api/projects/control/tasks/999999/cancel');
  expect([none.status, none.body.code]).toEqual([404, 'not_found']);
  const history = (await server.call('GET', path)).body.history;
  expect(history.map((event: { event: string; actor: string }) => [event.event, event.actor])).toEqual([
    ['task_cancelled', expect.stringMatching(/^admin:token:\d+$/)],
    ['task_requeued', expect.any(String)],
    ['task_priority', expect.any(String)],
    ['task_overlap', expect.any(String)],
  ]);
});

test('assignments are listed newest first, filtered, and revoked with a reason', async () => {
  await projectWith('leases', [{ data: 1 }, { data: 2 }, { data: 3 }]);
  const worker = await connected('lease-1');
  await answer(worker, 'leases', 1);
  await answer(worker, 'leases', 2);
  const open = await lease(worker, 'leases');
  const list = async (query: string) => (await server.call('GET', `/api/assignments?${query}`)).body;
  const all = await list(`project=leases&limit=2`);
  const rest = await list(`project=leases&limit=2&cursor=${all.next}`);
  const states = [...all.items, ...rest.items].map((item: { state: string }) => item.state);
  expect(states).toEqual(['active', 'submitted', 'submitted']);
  expect((await list(`annotator=${worker}&state=offered,active`)).items).toMatchObject([
    { id: formatAssignmentRef(open.ref), project: 'leases' },
  ]);
  expect((await list(`taskId=${open.taskId}`)).items).toHaveLength(1);

  const path = `/api/assignments/${formatAssignmentRef(open.ref)}/revoke`;
  expect((await server.call('POST', path, { reason: 'taken back' })).body).toEqual({ ended: true });
  expect((await list(`taskId=${open.taskId}`)).items).toMatchObject([{ state: 'revoked' }]);
  const unknown = formatAssignmentRef({ ...open.ref, id: asId<AssignmentId>(999_999_999) });
  expect((await server.call('POST', `/api/assignments/${unknown}/revoke`)).status).toBe(404);
  expect((await server.call('POST', '/api/assignments/nonsense/revoke')).status).toBe(400);
  expect((await server.call('GET', '/api/assignments?project=none')).status).toBe(404);
});

test('stats count what was done and what goes on', async () => {
  await projectWith('stats', [{ data: 1 }, { data: 2 }, { data: 3 }]);
  const worker = await connected('stats-1');
  await answer(worker, 'stats', 1);
  await lease(worker, 'stats');
  const stats = (await server.call('GET', '/api/projects/stats/stats')).body;
  expect(stats).toMatchObject({
    tasks: { total: 3, complete: 1, held: 0, cancelled: 0 },
    answers: { submitted: 1, surplus: 0 },
    live: { leased: 1 },
  });
  const end = (await server.call('GET', '/api/projects/stats/events?after=latest')).body;
  expect(stats.cursor).toBe(end.cursor);
});

test('answers are exported in three forms with the same content', async () => {
  await projectWith('export', [
    { data: 1, externalId: '=cmd()' },
    { data: 2, externalId: 'b' },
  ]);
  const worker = await connected('-export,"1"');
  await answer(worker, 'export', { text: 'a, "b"\n=c' });
  await answer(worker, 'export', -5);
  const path = '/api/projects/export/annotations';
  const jsonl = await server.call('GET', path);
  expect(jsonl.headers['content-type']).toContain('application/x-ndjson');
  const rows = jsonl.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(rows).toMatchObject([
    {
      externalId: '=cmd()',
      annotator: { id: worker, externalId: '-export,"1"' },
      result: { text: 'a, "b"\n=c' },
      counted: true,
    },
    { externalId: 'b', result: -5 },
  ]);
  expect(rows[0].leadTimeMs).toBeGreaterThanOrEqual(0);
  expect(Date.parse(rows[0].submittedAt)).toBeGreaterThan(0);
  expect((await server.call('GET', `${path}?format=json`)).body).toEqual(rows);
  const csv = (await server.call('GET', `${path}?format=csv`)).text.split('\r\n');
  expect(csv[0]).toBe(
    'taskId,externalId,annotatorId,annotatorExternalId,assignmentId,submissionId,result,counted,startedAt,submittedAt,leadTimeMs',
  );
  expect(csv[1]).toContain(`,'=cmd(),${worker},"'-export,""1""",`);
  expect(csv[1]).toContain('"{""text"":""a, \\""b\\""\\n=c""}"');
  expect(csv[2]).toContain(',-5,true,');
  expect(csv).toHaveLength(4);
  expect((await server.call('GET', `${path}?counted=false`)).text).toBe('');
  expect((await server.call('GET', `${path}?counted=false&format=json`)).body).toEqual([]);
  expect((await server.call('GET', `${path}?taskId=${rows[1].taskId}`)).text.trim().split('\n')).toHaveLength(
    1,
  );
  expect((await server.call('GET', '/api/projects/none/annotations')).status).toBe(404);
  expect((await server.call('GET', `${path}?format=xml`)).status).toBe(400);
});
