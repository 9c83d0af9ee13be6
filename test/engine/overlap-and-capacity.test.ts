import { afterEach, beforeEach, expect, test } from 'vitest';
import { at, codeOf, granted, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

test('fifty annotators at once fill every task exactly to its overlap, by distinct people (I1)', async () => {
  const project = await world.project({ overlap: 3 });
  const tasks = await world.tasks(
    project,
    Array.from({ length: 40 }, () => ({})),
  );
  const node = await world.engine();
  const people = await Promise.all(Array.from({ length: 50 }, () => node.arrive()));
  const answers = await Promise.all(
    people.map(async (person) => {
      let count = 0;
      for (;;) {
        const answer = granted(await person.tryRequest([project]));
        if ('waiting' in answer) return count;
        await person.submit(answer.assignment);
        count += 1;
      }
    }),
  );
  // Who waits is not asked again here, so a push may be left: they take what was pushed until nothing comes.
  await world.quiet();
  let total = answers.reduce((sum, n) => sum + n, 0);
  for (let moved = true; moved; ) {
    moved = false;
    for (const person of people) {
      for (const view of (await person.state()).assignments) {
        await person.submit(view);
        total += 1;
        moved = true;
      }
    }
    await world.quiet();
  }
  expect(total).toBe(3 * tasks.length);
  expect(await world.count('tasks', { project_id: project.id, state: 5 })).toBe(tasks.length);
});

test('the database refuses a second counted assignment of a slot, and of an annotator (I1)', async () => {
  const project = await world.project({ overlap: 2 });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const view = await (await node.arrive()).take(project);
  const forced = (annotatorId: number, slot: number) =>
    world.db('assignments').insert({
      id: 999_999,
      project_id: project.id,
      shard_id: project.shardId,
      task_id: task,
      annotator_id: annotatorId,
      slot,
      capacity_slot: 7,
      attempt: 1,
      state: 2,
      deadline_at: world.db.fn.now(),
    });
  const stranger = await world.annotator();
  await expect(forced(stranger, 0)).rejects.toThrow(/assignments_slot/);
  await expect(forced(view.annotatorId, 1)).rejects.toThrow(/assignments_annotator/);
});

test('the database refuses a lease on a place of capacity that is taken (I2)', async () => {
  const project = await world.project();
  await world.tasks(project, [{}, {}]);
  const node = await world.engine();
  const view = await (await node.arrive()).take(project);
  const forced = world.db('assignments').insert({
    id: 999_999,
    project_id: project.id,
    shard_id: project.shardId,
    task_id: view.taskId + 1,
    annotator_id: view.annotatorId,
    slot: 0,
    capacity_slot: 0,
    attempt: 1,
    state: 1,
    deadline_at: world.db.fn.now(),
  });
  await expect(forced).rejects.toThrow(/assignments_capacity/);
});

test('capacity holds over two projects and twenty requests at once (I2)', async () => {
  const one = await world.project();
  const two = await world.project();
  for (const project of [one, two])
    await world.tasks(
      project,
      Array.from({ length: 20 }, () => ({})),
    );
  const node = await world.engine();
  const person = await node.arrive({ capacity: 3 });
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => person.tryRequest(i % 2 === 0 ? [one] : [two], `r-${i}`)),
  );
  const given = answers.filter((answer) => answer.ok && 'assignment' in answer.value);
  expect(given).toHaveLength(3);
  for (const answer of answers) {
    if (!answer.ok) expect(answer.code).toBe('at_capacity');
  }
  expect((await person.state()).assignments).toHaveLength(3);
  expect(await world.count('assignments', { annotator_id: person.id })).toBe(3);
});

test('a second engine grants nothing to an annotator whose capacity is used up at the first (I2)', async () => {
  const one = await world.project();
  const two = await world.project();
  await world.tasks(one, [{}]);
  await world.tasks(two, [{}]);
  const first = await world.engine();
  const second = await world.engine();
  const person = await first.arrive();
  await person.take(one);
  const elsewhere = person.at(second);
  await elsewhere.connect();
  // The second node does not know of the lease: the database does, and the commit is refused whole.
  expect(codeOf(await elsewhere.tryRequest([two]))).toBe('unavailable');
  expect(await world.count('assignments', { annotator_id: person.id })).toBe(1);
});

test('a place of capacity that an answer gives back is used in the same commit, in the other project (I2)', async () => {
  const one = await world.project();
  const two = await world.project();
  await world.tasks(one, [{}]);
  await world.tasks(two, [{}, {}]);
  const node = await world.engine();
  await (await node.arrive()).take(two);
  const person = await node.arrive();
  const view = await person.take(one);
  await world.quiet();
  node.commits.length = 0;
  const answer = granted(await person.trySubmit(view, { next: true, projects: [two] }));
  expect(answer.next).toMatchObject({ assignment: { project: two.slug } });
  expect(node.commits).toEqual([2]);
});

test('an answer whose next task lies in a project that was not loaded yet gets it all the same', async () => {
  const one = await world.project();
  const two = await world.project();
  await world.tasks(one, [{}]);
  await world.tasks(two, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const answer = granted(await person.trySubmit(await person.take(one), { next: true, projects: [two] }));
  expect(answer.next).toMatchObject({ assignment: { project: two.slug } });
});

test('who holds a task gets no second place on it, with room for more leases (I1)', async () => {
  const project = await world.project({ overlap: 3 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 3 });
  await person.take(project);
  expect(await person.wait(project)).toMatchObject({ leased: 0 });
  expect(node.incidents).toEqual([]);
});
