import { afterEach, beforeEach, expect, test } from 'vitest';
import { at, codeOf, Gate, granted, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

test('a task whose attempts are used up is held by name, and waits again after a requeue (I5)', async () => {
  const project = await world.project({ maxAttempts: 2 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  await person.release(await person.take(project));
  await person.release(await person.take(project));
  expect(await person.wait(project)).toMatchObject({ held: 1, leased: 0, alreadyDone: 0 });
  expect(await world.count('tasks', { id: task, state: 4, hold_condition: 1 })).toBe(1);
  expect(granted(await node.engine.control.requeueTask(project.id, task, 'sup'))).toEqual({
    state: 'waiting',
  });
  const again = await person.assigned();
  expect(again).toMatchObject({ taskId: task, attempt: 1 });
  await person.submit(again);
});

test('a held task still takes the answers of leases that were open when it was held', async () => {
  const project = await world.project({ maxAttempts: 1, overlap: 2 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const one = await node.arrive();
  const two = await node.arrive();
  const view = await one.take(project);
  await two.release(await two.take(project));
  expect(await world.count('tasks', { id: task, state: 4 })).toBe(1);
  expect(await two.wait(project)).toMatchObject({ held: 1, leased: 0, alreadyDone: 0 });
  await one.submit(view);
  expect(granted(await node.engine.control.requeueTask(project.id, task, 'sup'))).toEqual({
    state: 'waiting',
  });
  await two.submit(await two.assigned());
  expect(await world.count('tasks', { id: task, state: 5 })).toBe(1);
});

test('a requeued task brings back the draft that its annotator left, also after a restart (I10)', async () => {
  const project = await world.project({ maxAttempts: 1 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await person.draft(view, { text: 'so far' });
  await person.release(view);
  granted(await node.engine.control.requeueTask(project.id, task, 'sup'));
  await node.engine.stop();
  const second = await world.engine();
  const back = person.at(second);
  await back.connect();
  expect(await back.take(project)).toMatchObject({ taskId: task, attempt: 1, draft: { text: 'so far' } });
});

test('cancelling a task revokes its leases and tells their holders; requeued, it waits again', async () => {
  const project = await world.project({ overlap: 3 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const people = await Promise.all([1, 2].map(() => node.arrive()));
  const views = await Promise.all(people.map((person) => person.take(project)));
  expect(granted(await node.engine.control.cancelTask(project.id, task, 'sup'))).toEqual({
    state: 'cancelled',
  });
  expect(granted(await node.engine.control.cancelTask(project.id, task, 'sup'))).toEqual({
    state: 'cancelled',
  });
  await world.quiet();
  for (const person of people)
    expect(person.pushed('revoked').map((push) => push.reason)).toEqual(['task_cancelled']);
  expect(codeOf(await at(people, 0).trySubmit(at(views, 0)))).toBe('lease_ended');
  await at(people, 0).wait(project);
  granted(await node.engine.control.requeueTask(project.id, task, 'sup'));
  expect((await at(people, 0).assigned()).taskId).toBe(task);
});

test('a complete task is neither cancelled nor requeued; a task that is not there is not found', async () => {
  const project = await world.project();
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  await person.submit(await person.take(project));
  const { control } = node.engine;
  expect(codeOf(await control.cancelTask(project.id, task, 'sup'))).toBe('conflict');
  expect(codeOf(await control.requeueTask(project.id, task, 'sup'))).toBe('conflict');
  const absent = await world.tasks(await world.project(), [{}]);
  expect(codeOf(await control.cancelTask(project.id, at(absent, 0), 'sup'))).toBe('not_found');
});

test('a task cancelled on disk, far behind the window, is never given', async () => {
  const project = await world.project({ strategy: 'sequential' });
  const tasks = await world.tasks(
    project,
    Array.from({ length: 20 }, () => ({})),
  );
  const node = await world.engine({ limits: { windowRows: 4, windowRowsMax: 8, deepRows: 4 } });
  const person = await node.arrive({ capacity: 30 });
  await person.take(project);
  granted(await node.engine.control.cancelTask(project.id, at(tasks, 15), 'sup'));
  for (let i = 0; i < 18; i++) expect((await person.take(project)).taskId).not.toBe(at(tasks, 15));
  await person.wait(project);
});

test('a raised overlap opens a complete task again and wakes who waits; lowered, it completes', async () => {
  const project = await world.project({ overlap: 1 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const one = await node.arrive();
  await one.submit(await one.take(project));
  const two = await node.arrive();
  await two.wait(project);
  const { control } = node.engine;
  expect(granted(await control.setOverlap(project.id, task, 3, 'sup'))).toEqual({ state: 'waiting' });
  const view = await two.assigned();
  expect(codeOf(await control.setOverlap(project.id, task, 1, 'sup'))).toBe('conflict');
  await two.submit(view);
  expect(granted(await control.setOverlap(project.id, task, 2, 'sup'))).toEqual({ state: 'complete' });
  expect(codeOf(await control.setOverlap(project.id, task, 1, 'sup'))).toBe('conflict');
});

test('an overlap that is lowered and raised never gives a slot twice (I1)', async () => {
  const project = await world.project({ overlap: 3 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const people = await Promise.all([1, 2, 3, 4].map(() => node.arrive()));
  const [first, , third] = await Promise.all(people.slice(0, 3).map((person) => person.take(project)));
  if (first) await at(people, 0).release(first);
  if (third) await at(people, 2).submit(third);
  const { control } = node.engine;
  granted(await control.setOverlap(project.id, task, 2, 'sup'));
  await at(people, 3).wait(project);
  granted(await control.setOverlap(project.id, task, 4, 'sup'));
  await at(people, 3).submit(await at(people, 3).assigned());
  await at(people, 0).submit(await at(people, 0).take(project));
  expect(await world.count('tasks', { id: task, filled: 3 })).toBe(1);
});

test('a changed priority reorders the queue at once, in memory and on disk', async () => {
  const project = await world.project({ strategy: 'priority' });
  const tasks = await world.tasks(
    project,
    Array.from({ length: 12 }, () => ({})),
  );
  const node = await world.engine({ limits: { windowRows: 4, windowRowsMax: 8, deepRows: 4 } });
  const person = await node.arrive({ capacity: 20 });
  expect((await person.take(project)).taskId).toBe(at(tasks, 0));
  const { control } = node.engine;
  granted(await control.setPriority(project.id, at(tasks, 11), 5, 'sup'));
  granted(await control.setPriority(project.id, at(tasks, 2), 3, 'sup'));
  granted(await control.setPriority(project.id, at(tasks, 1), -1, 'sup'));
  const order: number[] = [];
  for (let i = 0; i < 11; i++) order.push((await person.take(project)).taskId);
  const expected = [11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1].map((i) => at(tasks, i));
  expect(order).toEqual(expected);
});

test('a ban revokes open leases, frees their slots and closes the door', async () => {
  const one = await world.project();
  const two = await world.project();
  for (const project of [one, two]) await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 2 });
  const views = [await person.take(one), await person.take(two)];
  const waiter = await node.arrive();
  await waiter.wait(one);
  await world.changeAnnotator(person.id, { status: 'banned' });
  granted(await node.engine.control.annotatorChanged(person.id, 'sup'));
  expect((await waiter.assigned()).taskId).toBe(at(views, 0).taskId);
  expect(person.pushed('revoked').map((push) => push.reason)).toEqual([
    'annotator_banned',
    'annotator_banned',
  ]);
  expect(codeOf(await person.tryRequest([one]))).toBe('annotator_banned');
  expect(codeOf(await person.trySubmit(at(views, 0)))).toBe('lease_ended');
  expect(codeOf(await node.engine.work.connect(person.id))).toBe('annotator_banned');
});

test('a ban while one of the leases runs out ends each lease once', async () => {
  const one = await world.project({ heartbeatMs: 20_000 });
  const two = await world.project({ heartbeatMs: 20_000 });
  for (const project of [one, two]) await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 2 });
  await person.take(one);
  await person.take(two);
  await world.changeAnnotator(person.id, { status: 'banned' });
  const gate = new Gate();
  node.store.intercept = async (method, call) => {
    if (method === 'commit') await gate.pass();
    return call();
  };
  const ban = node.engine.control.annotatorChanged(person.id, 'sup');
  await gate.reached;
  const leap = node.clock.leap(20_000);
  gate.open();
  granted(await ban);
  await leap;
  expect(await world.count('transitions', { annotator_id: person.id })).toBe(4);
});

test('a paused annotator keeps the lease and gets no other', async () => {
  const project = await world.project();
  await world.tasks(project, [{}, {}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await world.changeAnnotator(person.id, { status: 'paused' });
  granted(await node.engine.control.annotatorChanged(person.id, 'sup'));
  const answer = granted(await person.trySubmit(view, { next: true }));
  expect(answer.receipt.status).toBe('counted');
  expect(answer.next).toBeUndefined();
  expect(codeOf(await person.tryRequest([project]))).toBe('annotator_paused');
});

test('revoking twice is the same; revoking what ended otherwise says so', async () => {
  const project = await world.project();
  await world.tasks(project, [{}, {}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const { control } = node.engine;
  expect(codeOf(await control.revoke(view.ref, 'sup'))).toBe('ok');
  expect(codeOf(await control.revoke(view.ref, 'sup'))).toBe('ok');
  const next = await person.take(project);
  await person.submit(next);
  expect(codeOf(await control.revoke(next.ref, 'sup'))).toBe('lease_ended');
});

test('every control command is in the history with its actor (I7)', async () => {
  const project = await world.project({ overlap: 2 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const { control } = node.engine;
  granted(await control.setPriority(project.id, task, 2, 'sup:1'));
  granted(await control.setOverlap(project.id, task, 3, 'sup:1'));
  granted(await control.cancelTask(project.id, task, 'sup:1'));
  granted(await control.requeueTask(project.id, task, 'sup:1'));
  granted(await control.projectChanged(project.id, 'settings', 'sup:1'));
  expect(await world.count('transitions', { shard_id: project.shardId, actor: 'sup:1' })).toBe(5);
});
