import { afterEach, beforeEach, expect, test } from 'vitest';
import { at, codeOf, granted, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

const FIVE = [{}, {}, {}, {}, {}];

test('a repeated request id gets the same lease, one after the other and at once (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 5 });
  const first = await person.take(project, 'r');
  const repeats = await Promise.all([1, 2, 3].map(() => person.take(project, 'r')));
  expect(repeats.map((view) => view.ref.id)).toEqual([first.ref.id, first.ref.id, first.ref.id]);
  const other = await node.arrive({ capacity: 5 });
  const atOnce = await Promise.all([1, 2, 3, 4].map(() => other.take(project, 'r')));
  expect(new Set(atOnce.map((view) => view.ref.id)).size).toBe(1);
  expect(await world.count('assignments', {})).toBe(2);
});

test('a repeated request id gets the same lease from an engine that was started again (I3, I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 5 });
  const first = await person.take(project, 'r');
  await node.engine.stop();
  const again = person.at(await world.engine());
  expect((await again.take(project, 'r')).ref).toEqual(first.ref);
  expect(at((await again.connect()).assignments, 0).data).toEqual(first.data);
});

test('a request id whose lease has ended does not lead to another one (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project, 'r');
  await person.submit(view);
  expect(codeOf(await person.tryRequest([project], 'r'))).toBe('lease_ended');
});

test('a repeated submission gets the same receipt, later, at once, and after a restart (I3, I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const receipts = await Promise.all([1, 2, 3].map(() => person.submit(view, { submissionId: 's' })));
  receipts.push(await person.submit(view, { submissionId: 's' }));
  await node.engine.stop();
  const again = person.at(await world.engine());
  receipts.push(await again.submit(view, { submissionId: 's' }));
  for (const receipt of receipts)
    expect(receipt).toEqual({ assignment: view.ref, submissionId: 's', status: 'counted', late: false });
  expect(await world.count('annotations', {})).toBe(1);
});

test('another submission id for an answered assignment is refused and changes nothing (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const answers = await Promise.all(
    ['s1', 's2'].map((submissionId) => person.trySubmit(view, { submissionId, result: submissionId })),
  );
  expect(answers.map(codeOf).sort()).toEqual(['already_submitted', 'ok']);
  expect(codeOf(await person.trySubmit(view, { submissionId: 's3' }))).toBe('already_submitted');
  await node.engine.stop();
  const again = person.at(await world.engine());
  expect(codeOf(await again.trySubmit(view, { submissionId: 's3' }))).toBe('already_submitted');
  expect(await world.count('annotations', {})).toBe(1);
});

test('a repeated late submission gets the same receipt, also after a restart (I4)', async () => {
  for (const lateSubmit of ['accept', 'surplus'] as const) {
    const project = await world.project({ lateSubmit, overlap: 2 });
    await world.tasks(project, [{}]);
    const node = await world.engine();
    const person = await node.arrive();
    const view = await person.take(project);
    await node.clock.advance(45_000);
    const receipts = await Promise.all([1, 2].map(() => person.submit(view, { submissionId: 's' })));
    await node.engine.stop();
    const again = await world.engine();
    receipts.push(await person.at(again).submit(view, { submissionId: 's' }));
    const status = lateSubmit === 'accept' ? 'counted' : 'surplus';
    for (const receipt of receipts)
      expect(receipt).toEqual({ assignment: view.ref, submissionId: 's', status, late: true });
    await again.engine.stop();
  }
});

test('a repeated skip and release say again that it is over, also after a restart (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const skipped = await person.take(project);
  await Promise.all([person.skip(skipped), person.skip(skipped)]);
  await person.skip(skipped);
  const released = await person.take(project);
  await Promise.all([person.release(released), person.release(released)]);
  await person.release(released);
  expect(codeOf(await node.engine.work.release(person.id, skipped.ref))).toBe('lease_ended');
  await node.engine.stop();
  const again = person.at(await world.engine());
  await again.skip(skipped);
  await again.release(released);
  expect(codeOf(await again.trySubmit(skipped))).toBe('lease_ended');
});

test('an answer and the next task ride in one commit, and the repeat gets both again (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await world.quiet();
  node.commits.length = 0;
  const first = granted(await person.trySubmit(view, { next: true }));
  await world.quiet();
  expect(node.commits).toEqual([1]);
  const again = granted(await person.trySubmit(view, { next: true }));
  expect(again.receipt).toEqual(first.receipt);
  expect(first.next && 'assignment' in first.next && first.next.assignment.ref).toEqual(
    again.next && 'assignment' in again.next ? again.next.assignment.ref : 'nothing',
  );
});

test("a stranger's assignment is unknown, whatever is tried with it (I9)", async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const owner = await node.arrive();
  const view = await owner.take(project);
  const stranger = await node.arrive();
  const { work } = node.engine;
  const tries = async () => [
    await work.accept(stranger.id, view.ref),
    await work.draft(stranger.id, view.ref, {}),
    await work.skip(stranger.id, view.ref),
    await work.release(stranger.id, view.ref),
    await stranger.trySubmit(view),
  ];
  for (const result of await tries()) expect(codeOf(result)).toBe('unknown_assignment');
  expect(await stranger.beat(view)).toEqual({ alive: 0, ended: 1 });
  await owner.submit(view);
  for (const result of await tries()) expect(codeOf(result)).toBe('unknown_assignment');
  expect((await stranger.state()).assignments).toEqual([]);
});

test('what was acknowledged is there after a crash: lease, draft, answer and skip (I3)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const people = await Promise.all([1, 2, 3].map(() => node.arrive()));
  const views = await Promise.all(people.map((person) => person.take(project)));
  await at(people, 0).draft(at(views, 0), { half: 'done' });
  await at(people, 1).submit(at(views, 1));
  await at(people, 2).skip(at(views, 2));
  await node.crash();
  const second = await world.engine();
  const state = await at(people, 0).at(second).connect();
  expect(state.assignments.map(({ ref, draft }) => ({ ref, draft }))).toEqual([
    { ref: at(views, 0).ref, draft: { half: 'done' } },
  ]);
  expect(await world.count('annotations', {})).toBe(1);
  expect(await world.count('assignments', { state: 8 })).toBe(1);
});
