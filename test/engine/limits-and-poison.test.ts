import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Json } from '../../engine/settings.ts';
import { at, codeOf, Gate, granted, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

/** Changes a task behind the engine's back, as a bug or a later release would. */
async function spoil(id: number, columns: Record<string, unknown>): Promise<void> {
  await world.db('tasks').where({ id }).update(columns);
}

test.each([
  ['of a later version', { machine_version: 99 }],
  ['of no version', { machine_version: 0 }],
  ['with more answers than it needs', { filled: 3, filled_slots: '{0,1,2}' }],
  ['with answers that have no slot', { filled: 1 }],
  ['with a negative count', { attempts: -1 }],
  ['with a hold condition while it waits', { hold_condition: 1 }],
  ['with a hold condition of a later release', { hold_condition: 9 }],
  ['with requirements that are no list of conditions', { requirements: JSON.stringify([{ all: 5 }]) }],
])('a task %s is quarantined, and the shard goes on', async (_what, columns) => {
  const project = await world.project({ overlap: 2, strategy: 'sequential' });
  const [poison = 0, good] = await world.tasks(project, [{}, {}]);
  await spoil(poison, columns);
  const node = await world.engine();
  const person = await node.arrive();
  expect((await person.take(project)).taskId).toBe(good);
  await world.quiet();
  expect(await world.count('tasks', { id: poison, state: 4, hold_condition: 3 })).toBe(1);
  expect(node.incidentsOf('task_quarantined')).toMatchObject([{ taskId: poison }]);
  expect(await world.count('transitions', { task_id: poison, event: 24 })).toBe(1);
  const row: { hold_detail: string } | undefined = await world.db('tasks').where({ id: poison }).first();
  expect(row?.hold_detail.length).toBeGreaterThan(5);
  // Beyond repair: a person puts it right, and the history starts from there.
  await spoil(poison, { filled: 0, filled_slots: '{}', attempts: 0, requirements: null });
});

test('a task of a later version that is leased when the shard is loaded is quarantined, its holder told', async () => {
  const project = await world.project({ overlap: 2 });
  const poison = at(await world.tasks(project, [{}, {}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const other = await node.arrive();
  await node.crash();
  await spoil(poison, { machine_version: 99, state: 42 });
  const second = await world.engine();
  await world.quiet();
  expect(second.incidentsOf('task_quarantined')).toHaveLength(1);
  const held = person.at(second);
  expect((await held.connect()).assignments).toEqual([]);
  expect(codeOf(await held.trySubmit(view))).toBe('lease_ended');
  expect((await other.at(second).take(project)).taskId).not.toBe(poison);
  expect((await held.take(project)).taskId).not.toBe(poison);
});

test('a task whose rows contradict each other is quarantined, and the rest of its shard goes on', async () => {
  const project = await world.project({ overlap: 2 });
  const [broken] = await world.tasks(project, [{}, {}]);
  const first = await world.engine();
  const person = await first.arrive();
  await person.submit(await person.take(project));
  await first.engine.stop();
  // Somebody made the task forget who has answered it.
  await world.db('tasks').where({ id: broken }).update({ had: '{}', filled: 0, filled_slots: '{}' });
  const second = await world.engine();
  const again = person.at(second);
  await again.connect();
  for (const requestId of ['r1', 'r2']) {
    expect(codeOf(await again.tryRequest([project], requestId))).toBe('unavailable');
  }
  const view = await again.take(project, 'r3');
  expect(view.taskId).not.toBe(broken);
  expect(await again.submit(view)).toMatchObject({ status: 'counted' });
  expect(await world.db('tasks').where({ id: broken }).first('hold_condition', 'hold_detail')).toMatchObject({
    hold_detail: 'Its rows in the database contradict each other.',
  });
  expect(second.incidentsOf('task_quarantined')).toHaveLength(1);
  // As its history tells it, for the checks that follow every test.
  const told = { had: `{${person.id}}`, filled: 1, filled_slots: '{0}' };
  await world.db('tasks').where({ id: broken }).update(told);
});

test('a quarantined task waits again when somebody requeues it', async () => {
  const project = await world.project();
  const poison = at(await world.tasks(project, [{}]), 0);
  await spoil(poison, { machine_version: 99 });
  const node = await world.engine();
  const person = await node.arrive();
  expect(await person.wait(project)).toMatchObject({ held: 1 });
  expect(granted(await node.engine.control.requeueTask(project.id, poison, 'sup'))).toEqual({
    state: 'waiting',
  });
  await person.submit(await person.assigned());
});

test('over the limit of a mailbox the answer is busy, with a time, and what is in it is served', async () => {
  const project = await world.project();
  await world.tasks(
    project,
    Array.from({ length: 30 }, () => ({})),
  );
  const node = await world.engine({ limits: { mailboxMax: 5 } });
  const people = await Promise.all(Array.from({ length: 20 }, () => node.arrive()));
  await at(people, 0).take(project);
  const gate = new Gate();
  node.store.intercept = async (method, call) => {
    if (method === 'commit') await gate.pass();
    return call();
  };
  const asked = people.slice(1).map((person) => person.tryRequest([project]));
  await gate.reached;
  gate.open();
  const answers = await Promise.all(asked);
  const busy = answers.filter((answer) => codeOf(answer) === 'busy');
  expect(busy).toHaveLength(14);
  for (const answer of busy) expect(answer).toMatchObject({ retryAfterMs: 500 });
  expect(answers.filter((answer) => answer.ok)).toHaveLength(5);
});

test('over the limit of waiters the answer is busy', async () => {
  const project = await world.project();
  const node = await world.engine({ limits: { waitersMax: 2 } });
  const people = await Promise.all([1, 2, 3].map(() => node.arrive()));
  await at(people, 0).wait(project);
  await at(people, 1).wait(project);
  await at(people, 0).wait(project);
  expect(codeOf(await at(people, 2).tryRequest([project]))).toBe('busy');
});

test('results and drafts that Postgres cannot keep are refused, and nothing else in the commit is harmed', async () => {
  const project = await world.project();
  await world.tasks(
    project,
    Array.from({ length: 10 }, () => ({})),
  );
  const node = await world.engine();
  let deep: Json = 1;
  for (let i = 0; i < 70; i++) deep = [deep];
  const bad: Json[] = ['nul \u0000', { k: '\ud800' }, { '\udc00': 1 }, deep, 'x'.repeat(1024 * 1024)];
  const people = await Promise.all([...bad, 'fine', '\\u0000 spelt out'].map(() => node.arrive()));
  const views = await Promise.all(people.map((person) => person.take(project)));
  const drafted = await Promise.all(
    bad.map((draft, i) => node.engine.work.draft(at(people, i).id, at(views, i).ref, draft)),
  );
  expect(drafted.map(codeOf)).toEqual(bad.map(() => 'invalid_result'));
  const answers = await Promise.all(
    people.map((person, i) =>
      person.trySubmit(at(views, i), { result: [...bad, 'fine', '\\u0000 spelt out'][i] ?? null }),
    ),
  );
  expect(answers.map(codeOf)).toEqual([...bad.map(() => 'invalid_result'), 'ok', 'ok']);
  expect(node.incidents).toEqual([]);
  expect(at(people, 0).pushed('revoked')).toEqual([]);
});

test('texts of clients that Postgres cannot keep harm nobody else', async () => {
  const project = await world.project();
  await world.tasks(
    project,
    Array.from({ length: 10 }, () => ({})),
  );
  const node = await world.engine();
  const [odd, even] = [await node.arrive(), await node.arrive()];
  const [asked, fine] = await Promise.all([odd.tryRequest([project], 'r\u0000'), even.tryRequest([project])]);
  expect(codeOf(fine)).toBe('ok');
  expect(codeOf(asked)).toBe('invalid');
  const view = await odd.take(project, 'r "quoted" \\ {,} ü');
  const held = at((await even.state()).assignments, 0);
  const [submitted] = await Promise.all([
    odd.trySubmit(view, { submissionId: 's\u0000' }),
    even.submit(held),
  ]);
  expect(codeOf(submitted)).toBe('invalid');
  const third = await even.take(project);
  const [skipped] = await Promise.all([
    node.engine.work.skip(odd.id, view.ref, 'because\u0000 "of" \\ this'),
    even.submit(third),
  ]);
  expect(codeOf(skipped)).toBe('ok');
  expect(node.incidents).toEqual([]);
});
