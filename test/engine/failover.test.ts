import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Result } from '../../engine/refusals.ts';
import { StoreError } from '../../engine/store/store-error.ts';
import { cutConnections } from '../support/database.ts';
import { at, codeOf, Gate, granted, type Node, World } from './harness.ts';
import { PASS } from './watched-store.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

const FIVE = [{}, {}, {}, {}, {}];

/** From now on every commit is lost to its caller, and nobody can find out what became of it. */
function loseCommits(node: Node, { areDone } = { areDone: false }): void {
  node.store.intercept = async (method, call) => {
    if (method === 'commit' && areDone) await call();
    if (method === 'commit' || method === 'readBack') throw new StoreError(new Error('away'));
    return call();
  };
}

test('after a crash another engine takes over: leases go on with a grace, then end on time (I8)', async () => {
  const project = await world.project({ heartbeatMs: 20_000, maxDurationMs: 60_000 });
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const renewing = await node.arrive();
  const silent = await node.arrive();
  const kept = await renewing.take(project);
  const lost = await silent.take(project);
  await node.clock.advance(19_000);
  await renewing.beat(kept);
  await node.crash();
  const second = await world.engine();
  await second.clock.advance(19_999);
  expect(second.engine.status().leases).toBe(2);
  expect(await renewing.at(second).beat(kept)).toEqual({ alive: 1, ended: 0 });
  await second.clock.advance(1);
  expect(second.engine.status().leases).toBe(1);
  expect(await silent.at(second).beat(lost)).toEqual({ alive: 0, ended: 1 });
  await renewing.at(second).submit(kept);
});

test('while its node is alive nobody takes a shard; afterwards its old owner commits nothing (I6)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const second = await world.engine();
  const other = second.person(await world.annotator());
  expect(codeOf(await other.tryRequest([project]))).toBe('unavailable');
  // The first one is alive, and its node row says otherwise.
  await world.age(node);
  expect((await other.take(project)).taskId).not.toBe(view.taskId);
  const before = await world.count('transitions', {});
  expect(codeOf(await person.trySubmit(view))).toBe('unavailable');
  expect(codeOf(await node.engine.work.skip(person.id, view.ref))).toBe('unavailable');
  expect(await world.count('transitions', {})).toBe(before);
  expect(node.incidentsOf('commit_lost')).toHaveLength(1);
  expect(await person.at(second).submit(view)).toMatchObject({ status: 'counted' });
});

test('a node that cannot renew its term promises nothing, and holds nobody for silent meanwhile (I8)', async () => {
  const project = await world.project({ heartbeatMs: 5_000 });
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  node.store.intercept = (method, call) =>
    method === 'renewNode' ? Promise.reject(new StoreError(new Error('away'))) : call();
  await node.clock.advance(3_000);
  expect(codeOf(await node.engine.work.heartbeat(person.id, [view.ref]))).toBe('unavailable');
  expect(codeOf(await node.engine.work.state(person.id))).toBe('unavailable');
  await node.clock.advance(3_000);
  expect(codeOf(await node.engine.work.heartbeat(person.id, [view.ref]))).toBe('unavailable');
  node.store.intercept = PASS;
  await node.clock.advance(1_000);
  const beat = granted(await node.engine.work.heartbeat(person.id, [view.ref]));
  expect(beat).toEqual({ alive: [{ ref: view.ref, expiresInMs: 5_000 }], ended: [] });
});

test('an engine that lost its shard gets it back by itself when the other one leaves (I6)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const second = await world.engine();
  await world.age(node);
  await (await second.arrive()).take(project);
  expect(codeOf(await person.trySubmit(view))).toBe('unavailable');
  await node.clock.advance(2_000);
  expect(codeOf(await person.trySubmit(view))).toBe('unavailable');
  await second.engine.stop();
  await node.clock.advance(2_000);
  expect(node.engine.status().shards).toBe(1);
  expect(await person.submit(view)).toMatchObject({ status: 'counted' });
});

test('a commit that is under way when the shard is taken either counts or is refused whole (I6)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const gate = new Gate();
  node.store.intercept = async (method, call) => {
    if (method === 'commit') await gate.pass();
    return call();
  };
  const submitted = person.trySubmit(view);
  await gate.reached;
  await world.age(node);
  const second = await world.engine();
  expect(second.engine.status().leases).toBe(1);
  gate.open();
  expect(codeOf(await submitted)).toBe('unavailable');
  expect(await world.count('annotations', {})).toBe(0);
  expect(await person.at(second).submit(view)).toMatchObject({ status: 'counted' });
});

test('a node whose row is gone joins again as another incarnation and goes on', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await world.db('nodes').delete();
  await node.clock.advance(2_000);
  expect(node.incidentsOf('node_lost')).toHaveLength(1);
  expect(await person.submit(view)).toMatchObject({ status: 'counted' });
  expect(await world.count('shards', { id: project.shardId, epoch: 2 })).toBe(1);
});

test('a commit whose outcome is unknown is read back: it was done, so its caller hears yes', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  node.store.intercept = async (method, call) => {
    const outcome = await call();
    if (method !== 'commit') return outcome;
    node.store.intercept = (_method, go) => go();
    throw new StoreError(new Error('connection lost after COMMIT'));
  };
  expect(await person.submit(view)).toMatchObject({ status: 'counted', late: false });
  expect(node.store.calls.get('readBack')).toBe(1);
  expect(node.incidentsOf('commit_lost')).toEqual([]);
});

test('a commit whose outcome is unknown is read back: it was not done, so its caller is told to try again', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  node.store.intercept = async (method, call) => {
    if (method !== 'commit') return call();
    node.store.intercept = (_method, go) => go();
    throw new StoreError(new Error('connection lost before COMMIT'));
  };
  expect(codeOf(await person.trySubmit(view, { submissionId: 's' }))).toBe('unavailable');
  expect(await person.submit(view, { submissionId: 's' })).toMatchObject({ status: 'counted', late: false });
});

test('when the outcome cannot be read back either, a repeat with the same ids finds the truth (I3, I4)', async () => {
  for (const wasDone of [true, false]) {
    const project = await world.project();
    await world.tasks(project, FIVE);
    const node = await world.engine();
    const person = await node.arrive();
    const view = await person.take(project, 'r');
    loseCommits(node, { areDone: wasDone });
    expect(codeOf(await person.trySubmit(view, { submissionId: 's' }))).toBe('unavailable');
    node.store.intercept = PASS;
    expect(await person.submit(view, { submissionId: 's' })).toMatchObject({ status: 'counted' });
    expect(await world.count('annotations', { project_id: project.id })).toBe(1);
    await node.engine.stop();
  }
});

test('a lost grant is not held against the annotator: the same request id leads to a lease', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  loseCommits(node);
  expect(codeOf(await person.tryRequest([project], 'r'))).toBe('unavailable');
  node.store.intercept = PASS;
  const view = await person.take(project, 'r');
  expect((await person.state()).assignments.map((lease) => lease.ref)).toEqual([view.ref]);
  expect(await world.count('assignments', {})).toBe(1);
});

test('a repeated request id finds its lease while the shard that granted it is read anew (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 2 });
  const view = await person.take(project, 'r');
  loseCommits(node);
  expect(codeOf(await person.tryRequest([project], 'another'))).toBe('unavailable');
  node.store.intercept = PASS;
  expect((await person.take(project, 'r')).ref).toEqual(view.ref);
  expect(await world.count('assignments', {})).toBe(1);
});

test('a grant that was given up and was done after all is the one its request id leads to (I4)', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 2 });
  loseCommits(node, { areDone: true });
  expect(codeOf(await person.tryRequest([project], 'r'))).toBe('unavailable');
  node.store.intercept = PASS;
  const view = await person.take(project, 'r');
  expect((await person.state()).assignments.map((lease) => lease.ref)).toEqual([view.ref]);
  expect(await world.count('assignments', {})).toBe(1);
});

test('connections cut in the middle cost a retry and nothing else, again and again', async () => {
  // Time goes by with every try, and however many there are, nobody may run out of it.
  const project = await world.project({ overlap: 2, heartbeatMs: 3_600_000, maxDurationMs: 3_600_000 });
  await world.tasks(
    project,
    Array.from({ length: 60 }, () => ({})),
  );
  const node = await world.engine();
  const people = await Promise.all(Array.from({ length: 10 }, () => node.arrive()));
  let answered = 0;
  const errors = new Set<string>();
  const worker = async (index: number) => {
    const person = at(people, index);
    for (let n = 0; n < 8; n++) {
      const requestId = `${index}-${n}`;
      const view = await stubborn(node, errors, () => person.tryRequest([project], requestId));
      if ('waiting' in view) return;
      await stubborn(node, errors, () => person.trySubmit(view.assignment));
      answered += 1;
      if (answered % 20 === 0) await cutConnections(world.database);
    }
  };
  await Promise.all(people.map((_, index) => worker(index)));
  expect([...errors].filter((code) => code !== 'unavailable')).toEqual([]);
  expect(await world.count('annotations', {})).toBe(answered);
});

/** Tries until it is answered with something else than a retryable refusal; a moment of the clock goes by each time. */
async function stubborn<T>(
  node: { clock: { advance(ms: number): Promise<void> } },
  errors: Set<string>,
  call: () => Promise<Result<T>>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    const result = await call();
    if (result.ok || tries === 50) return granted(result);
    errors.add(result.code);
    await node.clock.advance(100);
  }
}

test('who waited when the shard was lost is served when it is back, without asking again', async () => {
  const project = await world.project();
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const holder = await node.arrive();
  const view = await holder.take(project);
  const waiter = await node.arrive();
  await waiter.wait(project);
  loseCommits(node);
  expect(codeOf(await node.engine.work.release(holder.id, view.ref))).toBe('unavailable');
  node.store.intercept = PASS;
  await node.clock.advance(1_000);
  await holder.release(view);
  expect((await waiter.assigned()).taskId).toBe(view.taskId);
});

test('a graceful stop hands the shards over at once, with everything done that was begun', async () => {
  const project = await world.project();
  await world.tasks(project, FIVE);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  const submitted = person.trySubmit(view);
  await node.engine.stop();
  await node.engine.stop();
  expect(codeOf(await submitted)).toMatch(/ok|unavailable/);
  expect(codeOf(await person.tryRequest([project]))).toBe('unavailable');
  const second = await world.engine();
  const next = await person.at(second).tryRequest([project], 'again');
  expect(codeOf(next)).toMatch(/ok|at_capacity/);
  expect(await world.count('nodes', {})).toBe(1);
});

test('work that goes back and forth between projects loses no commit', async () => {
  const projects = [await world.project({ overlap: 4 }), await world.project({ overlap: 4 })];
  for (const project of projects)
    await world.tasks(
      project,
      Array.from({ length: 60 }, () => ({})),
    );
  const node = await world.engine();
  const people = await Promise.all(Array.from({ length: 20 }, () => node.arrive()));
  await Promise.all(
    people.map(async (person, index) => {
      let view = await person.take(at(projects, index % 2));
      for (let n = 1; n < 20; n++) {
        const project = at(projects, (index + n) % 2);
        const answer = granted(await person.trySubmit(view, { next: true, projects: [project] }));
        if (!answer.next || 'waiting' in answer.next) throw new Error('there was no next task');
        view = answer.next.assignment;
      }
    }),
  );
  expect(node.incidents).toEqual([]);
});
