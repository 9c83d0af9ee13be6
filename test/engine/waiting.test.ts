import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { insertTasks } from '../../engine/store/admin/import.ts';
import { StoreError } from '../../engine/store/store-error.ts';
import { at, codeOf, Gate, granted, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

test('a freed slot is pushed at once to the one who waits longest (I8)', async () => {
  const project = await world.project();
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const holder = await node.arrive();
  const view = await holder.take(project);
  const first = await node.arrive();
  const second = await node.arrive();
  await first.wait(project);
  await second.wait(project);
  // Asking again keeps the place in the queue.
  await first.wait(project);
  await holder.release(view);
  expect(await first.assigned()).toMatchObject({ taskId: view.taskId, attempt: 2, data: { n: 0 } });
  expect(second.pushed('assigned')).toEqual([]);
  await first.release(await first.assigned());
  expect(await second.assigned()).toMatchObject({ taskId: view.taskId, attempt: 3 });
});

test('a lease that runs out goes to who waits, in the same commit', async () => {
  const project = await world.project({ heartbeatMs: 20_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  await (await node.arrive()).take(project);
  const waiter = await node.arrive();
  await waiter.wait(project);
  await node.clock.advance(19_000);
  node.commits.length = 0;
  await node.clock.advance(1_000);
  expect(await waiter.assigned()).toMatchObject({ expiresInMs: 20_000 });
  expect(node.commits).toEqual([1]);
});

test('a task that was released is offered again to the one who released it, but not one that was skipped', async () => {
  const project = await world.project();
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  await person.release(await person.take(project));
  const again = await person.take(project);
  expect(again.taskId).toBe(task);
  await person.skip(again);
  expect(await person.wait(project)).toMatchObject({ alreadyDone: 1, leased: 0 });
  expect((await (await node.arrive()).take(project)).taskId).toBe(task);
});

test('who waits is told why, in numbers of tasks', async () => {
  const project = await world.project({ overlap: 1, heartbeatMs: 20_000, maxAttempts: 1 });
  await world.tasks(project, [{}, {}, {}]);
  await world.tasks(project, [{ requirements: [{ skill: 'french', op: '>=', value: 50 }] }]);
  const node = await world.engine();
  const holder = await node.arrive();
  await holder.take(project);
  const skipper = await node.arrive();
  await skipper.skip(await skipper.take(project));
  await skipper.skip(await skipper.take(project));
  // The attempts of both are used up, so they are held.
  await node.clock.advance(5_000);
  expect(await skipper.wait(project)).toEqual({
    leased: 1,
    alreadyDone: 0,
    skill: 1,
    held: 2,
    pausedProjects: 0,
    unavailableProjects: 0,
    nextExpiryMs: 15_000,
  });
  const state = await skipper.state();
  expect(state.waiting).toMatchObject({ leased: 1, held: 2 });
});

test('tasks that are imported while people wait wake them, one each', async () => {
  for (const strategy of ['sequential', 'priority', 'random'] as const) {
    const project = await world.project({ strategy });
    const node = await world.engine();
    const people = await Promise.all([1, 2, 3].map(() => node.arrive()));
    for (const person of people) await person.wait(project);
    await world.tasks(project, [{}, {}]);
    expect(granted(await node.engine.control.tasksImported(project.id))).toEqual({ announced: 2 });
    await world.quiet();
    expect(people.map((person) => person.pushed('assigned').length)).toEqual([1, 1, 0]);
    expect(await at(people, 2).state()).toMatchObject({ waiting: { leased: 2 } });
    await node.engine.stop();
  }
});

test('imports that cross reads of the queue are never overlooked', async () => {
  const project = await world.project({ strategy: 'sequential', overlap: 1 });
  const node = await world.engine();
  const person = await node.arrive({ capacity: 100 });
  await person.wait(project);
  // The read of the empty queue comes back only after the import was announced.
  const gate = new Gate();
  await world.tasks(project, [{}]);
  await node.engine.control.tasksImported(project.id);
  const asking = await node.arrive({ capacity: 100 });
  await asking.take(project).catch(() => undefined);
  node.store.intercept = async (method, call) => {
    const rows = await call();
    if (method === 'readReady') await gate.pass();
    return rows;
  };
  await world.tasks(project, [{}]);
  await node.engine.control.tasksImported(project.id);
  const asked = asking.tryRequest([project]);
  await gate.reached;
  await world.tasks(project, [{}, {}]);
  await node.engine.control.tasksImported(project.id);
  gate.open();
  await asked;
  for (let i = 0; i < 3; i++) await asking.tryRequest([project]);
  await world.quiet();
  expect((await asking.state()).assignments.length + (await person.state()).assignments.length).toBe(4);
});

test('who paused gets nothing pushed, and what came meanwhile when they go on', async () => {
  const project = await world.project();
  const node = await world.engine();
  const person = await node.arrive();
  await person.wait(project);
  granted(await node.engine.work.pause(person.id));
  await world.tasks(project, [{}]);
  await node.engine.control.tasksImported(project.id);
  await world.quiet();
  expect(person.pushed('assigned')).toEqual([]);
  granted(await node.engine.work.resume(person.id));
  expect(await person.assigned()).toMatchObject({ data: { n: 0 } });
});

test('who lost the socket while waiting gets, on coming back, what came free meanwhile', async () => {
  const project = await world.project();
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const holder = await node.arrive();
  const view = await holder.take(project);
  const person = await node.arrive();
  await person.wait(project);
  person.disconnect();
  await node.clock.advance(1_000);
  await holder.release(view);
  await world.quiet();
  expect(person.pushed('assigned')).toEqual([]);
  await person.connect();
  expect((await person.assigned()).taskId).toBe(view.taskId);
});

test('who stays away loses the place in the queue', async () => {
  const project = await world.project();
  const node = await world.engine();
  const person = await node.arrive();
  await person.wait(project);
  person.disconnect();
  await node.clock.advance(15_000);
  expect(node.engine.status().waiting).toBe(0);
  expect((await person.connect()).waiting).toBeUndefined();
});

test('a slot that comes free while the node may not grant goes to who waits when it may again', async () => {
  const project = await world.project({ heartbeatMs: 20_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  await (await node.arrive()).take(project);
  const waiter = await node.arrive();
  await waiter.wait(project);
  // The event loop stood still for longer than the node trusts itself.
  await node.clock.leap(30_000);
  await node.clock.advance(1_500);
  expect(await waiter.assigned()).toBeDefined();
});

test('a slot that comes free when no assignment id is at hand is still pushed', async () => {
  const project = await world.project();
  await world.tasks(project, [{}]);
  let last = 5_000_000;
  let gate: Gate | undefined;
  // Ids come one by one, and late.
  const node = await world.engine({
    intercept: async (method, call) => {
      const answer = await call();
      if (method !== 'allocateAssignmentIds') return answer;
      await gate?.pass();
      return Object.assign(answer as object, { first: ++last, count: 1 }) as typeof answer;
    },
  });
  const holder = await node.arrive();
  const waiter = await node.arrive();
  const view = await holder.take(project);
  await waiter.wait(project);
  await world.quiet();
  // The one id at hand is spent on a lease elsewhere, and the next is on its way.
  gate = new Gate();
  const other = await world.project();
  await world.tasks(other, [{}]);
  granted(await node.engine.control.tasksImported(other.id));
  await (await node.arrive()).take(other);
  await holder.release(view);
  gate.open();
  expect((await waiter.assigned()).taskId).toBe(view.taskId);
});

test('a read that fails while waiters are served is made again, without anybody asking', async () => {
  const project = await world.project();
  const node = await world.engine();
  const person = await node.arrive();
  await person.wait(project);
  await world.tasks(project, [{}]);
  let fails = 1;
  node.store.intercept = async (method, call) => {
    if (method === 'readReady' && fails-- > 0) throw new StoreError(new Error('away'));
    return call();
  };
  granted(await node.engine.control.tasksImported(project.id));
  await world.quiet();
  expect(person.pushed('assigned')).toEqual([]);
  await node.clock.advance(1_000);
  expect(await person.assigned()).toBeDefined();
});

test('imports that cannot be announced when a shard is loaded are announced soon after', async () => {
  const project = await world.project();
  const node = await world.engine();
  await world.tasks(project, [{}]);
  let fails = 1;
  node.store.intercept = async (method, call) => {
    if (method === 'unannouncedChunks' && fails-- > 0) throw new StoreError(new Error('away'));
    return call();
  };
  const person = await node.arrive();
  expect(codeOf(await person.tryRequest([project]))).toBe('unavailable');
  await person.take(project);
  await world.quiet();
  expect(await world.count('import_chunks', {})).toBe(0);
});

test('who waits with no room left is served when one of their leases ends', async () => {
  const project = await world.project({ heartbeatMs: 20_000 });
  const other = await world.project();
  await world.tasks(project, [{}, {}]);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 2 });
  const view = await person.take(project);
  await person.wait(other);
  await world.changeAnnotator(person.id, { capacity: 1 });
  granted(await node.engine.control.annotatorChanged(person.id, 'sup'));
  await world.tasks(other, [{}]);
  granted(await node.engine.control.tasksImported(other.id));
  await world.quiet();
  expect(person.pushed('assigned')).toEqual([]);
  await person.submit(view);
  expect((await person.assigned()).project).toBe(other.slug);
});

test('of two imports that cross, the one that is committed last is not overlooked', async () => {
  const project = await world.project({ strategy: 'sequential' });
  const node = await world.engine();
  const person = await node.arrive({ capacity: 10 });
  await person.wait(project);
  let second: Promise<unknown> = Promise.resolve();
  let isSecondDone = false;
  await world.db.transaction(async (tx) => {
    await insertTasks(tx, project.record, [{ data: 1 }], 'test');
    second = world.tasks(project, [{}]).then(() => {
      isSecondDone = true;
    });
    // It is either done, and then its task is read before the first one is there, or it waits for its turn.
    await vi.waitFor(async () => {
      const waits = await world.count('pg_locks', { locktype: 'advisory', granted: false });
      expect(isSecondDone || waits > 0).toBe(true);
    });
    if (isSecondDone) {
      granted(await node.engine.control.tasksImported(project.id));
      await world.quiet();
    }
  });
  await second;
  granted(await node.engine.control.tasksImported(project.id));
  await world.quiet();
  for (let i = 0; i < 2; i++) await person.tryRequest([project]);
  expect((await person.state()).assignments).toHaveLength(2);
});

test('one request leads to one assignment, though the annotator waits in several projects', async () => {
  const projects = await Promise.all([1, 2, 3].map(() => world.project()));
  const node = await world.engine();
  const person = await node.arrive({ capacity: 3 });
  await person.wait(...projects);
  for (const project of projects) await world.tasks(project, [{}]);
  await Promise.all(projects.map((project) => node.engine.control.tasksImported(project.id)));
  await world.quiet();
  expect(person.pushed('assigned')).toHaveLength(1);
  expect((await person.state()).waiting).toBeUndefined();
});

test('a paused project gives nothing and takes answers; resumed, it serves who waits', async () => {
  const project = await world.project();
  await world.tasks(project, [{}, {}]);
  const node = await world.engine();
  const holder = await node.arrive();
  const view = await holder.take(project);
  await world.changeProject(project, { status: 'paused' });
  granted(await node.engine.control.projectChanged(project.id, 'paused', 'sup'));
  const waiter = await node.arrive();
  expect(await waiter.wait(project)).toMatchObject({ pausedProjects: 1 });
  await holder.submit(view);
  await world.changeProject(project, { status: 'active' });
  granted(await node.engine.control.projectChanged(project.id, 'resumed', 'sup'));
  expect(await waiter.assigned()).toBeDefined();
  expect(codeOf(await holder.trySubmit(view))).toBe('ok');
});
