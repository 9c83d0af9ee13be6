import { afterEach, beforeEach, expect, test } from 'vitest';
import { at, codeOf, granted, type Person, type Project, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

async function endings(project: Project): Promise<string[]> {
  const rows: { end_reason: string | null }[] = await world
    .db('assignments')
    .where({ project_id: project.id })
    .orderBy('id')
    .select('end_reason');
  return rows.map((row) => row.end_reason ?? 'none');
}

async function beatFor(person: Person, views: Parameters<Person['beat']>, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10_000) {
    await person.node.clock.advance(Math.min(10_000, ms - passed));
    await person.beat(...views);
  }
}

test('silence ends a lease on time, not before, and its holder is told (I8)', async () => {
  const project = await world.project({ heartbeatMs: 20_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  expect(view.expiresInMs).toBe(20_000);
  await node.clock.advance(19_999);
  expect((await person.state()).assignments).toHaveLength(1);
  await node.clock.advance(1);
  expect((await person.state()).assignments).toHaveLength(0);
  expect(person.pushed('revoked')).toEqual([{ kind: 'revoked', ref: view.ref, reason: 'heartbeat_silence' }]);
  expect(await endings(project)).toEqual(['heartbeat_silence']);
  expect(await world.count('assignments', { state: 7 })).toBe(1);
  expect(codeOf(await node.engine.work.skip(person.id, view.ref))).toBe('lease_ended');
  expect(await person.beat(view)).toEqual({ alive: 0, ended: 1 });
});

test('heartbeats keep a lease, and write no row each (I8)', async () => {
  const project = await world.project({ heartbeatMs: 20_000, maxDurationMs: 3_600_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await world.quiet();
  node.commits.length = 0;
  for (let beats = 0; beats < 100; beats++) {
    await node.clock.advance(1_000);
    expect(await person.beat(view)).toEqual({ alive: 1, ended: 0 });
  }
  expect(node.commits.length).toBeLessThanOrEqual(6);
  expect(node.commits.length).toBeGreaterThan(0);
  await node.clock.advance(19_999);
  expect((await person.state()).assignments).toHaveLength(1);
  await node.clock.advance(1);
  expect((await person.state()).assignments).toHaveLength(0);
});

test('the maximum duration ends a lease however often it is renewed, after a warning', async () => {
  const project = await world.project({ heartbeatMs: 20_000, maxDurationMs: 100_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  expect(view.maxDurationMs).toBe(100_000);
  await beatFor(person, [view], 80_000);
  expect(person.pushed('expiring')).toEqual([{ kind: 'expiring', ref: view.ref, expiresInMs: 20_000 }]);
  await beatFor(person, [view], 19_999);
  expect((await person.state()).assignments).toHaveLength(1);
  await node.clock.advance(1);
  expect(person.pushed('revoked').map((push) => push.reason)).toEqual(['max_duration']);
  expect(await world.count('assignments', { state: 6 })).toBe(1);
});

test('an offer that nobody accepts expires, costs the task no attempt and pauses the annotator', async () => {
  const project = await world.project({ offerMs: 5_000, maxAttempts: 1 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  expect(view).toMatchObject({ state: 'offered', expiresInMs: 5_000 });
  expect(codeOf(await person.trySubmit(view))).toBe('not_accepted');
  expect(codeOf(await node.engine.work.draft(person.id, view.ref, {}))).toBe('not_accepted');
  await node.clock.advance(5_000);
  expect(await endings(project)).toEqual(['offer_timeout']);
  expect(await person.state()).toMatchObject({ assignments: [], paused: true });
  expect(await world.count('tasks', { id: task, attempts: 0, state: 1 })).toBe(1);
  expect(await person.take(project)).toMatchObject({ taskId: task, attempt: 1 });
});

test('an accepted offer lives by heartbeats: the timer of the offer is inert, and accepting twice is the same', async () => {
  const project = await world.project({ offerMs: 5_000, heartbeatMs: 20_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await node.clock.advance(3_000);
  expect(granted(await node.engine.work.accept(person.id, view.ref)).expiresInMs).toBe(20_000);
  expect(codeOf(await node.engine.work.accept(person.id, view.ref))).toBe('ok');
  await node.clock.advance(19_000);
  expect((await person.state()).assignments).toMatchObject([{ state: 'active' }]);
  await person.submit(view);
  expect(await world.count('transitions', { event: 2 })).toBe(1);
});

test('a timer that was set for an ended lease changes nothing when it fires', async () => {
  const project = await world.project({ heartbeatMs: 20_000, overlap: 2 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const early = await node.arrive();
  const late = await node.arrive();
  const first = await early.take(project);
  await node.clock.advance(10_000);
  const second = await late.take(project);
  await early.submit(first);
  const before = await world.count('transitions', {});
  await node.clock.advance(15_000);
  expect(await world.count('transitions', {})).toBe(before);
  expect(await late.beat(second)).toEqual({ alive: 1, ended: 0 });
  expect(await endings(project)).toEqual(['none', 'none']);
});

test('a dropped socket starts the grace, and nothing else; the lease ends with it', async () => {
  const project = await world.project({ heartbeatMs: 45_000, reconnectGraceMs: 10_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  person.disconnect();
  await node.clock.advance(9_999);
  expect(await endings(project)).toEqual(['none']);
  await node.clock.advance(1);
  expect(await endings(project)).toEqual(['disconnected']);
  expect((await person.connect()).assignments).toEqual([]);
  expect(await person.beat(view)).toEqual({ alive: 0, ended: 1 });
});

test('coming back within the grace resumes the lease with its draft (I8, I10)', async () => {
  const project = await world.project({ heartbeatMs: 45_000, reconnectGraceMs: 10_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await person.draft(view, { text: 'so far' });
  person.disconnect();
  await node.clock.advance(9_000);
  const back = await person.connect();
  expect(back.assignments).toMatchObject([{ ref: view.ref, draft: { text: 'so far' }, expiresInMs: 45_000 }]);
  await node.clock.advance(30_000);
  expect((await person.state()).assignments).toHaveLength(1);
});

test('only the last of several sockets starts the grace', async () => {
  const project = await world.project({ reconnectGraceMs: 5_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  await person.connect();
  await person.take(project);
  person.disconnect();
  await node.clock.advance(20_000);
  expect((await person.state()).assignments).toHaveLength(1);
  person.disconnect();
  await node.clock.advance(5_000);
  expect(await endings(project)).toEqual(['disconnected']);
});

test('a thousand leases that end at one moment all end, and the timer goes on with the rest', async () => {
  const project = await world.project({ heartbeatMs: 20_000, overlap: 20, maxAttempts: 100 });
  await world.tasks(
    project,
    Array.from({ length: 120 }, () => ({})),
  );
  const node = await world.engine();
  const people = await Promise.all(Array.from({ length: 12 }, () => node.arrive({ capacity: 100 })));
  await Promise.all(people.flatMap((p) => Array.from({ length: 100 }, () => p.take(project))));
  await node.clock.advance(20_000);
  expect(await world.count('assignments', { state: 7 })).toBe(1_200);
  expect(node.engine.status().leases).toBe(0);
  expect(await at(people, 0).take(project)).toBeDefined();
});
