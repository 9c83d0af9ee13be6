import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Requirement } from '../../engine/settings.ts';
import { at, granted, type Person, type Project, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

const SMALL = { windowRows: 4, windowRowsMax: 8, deepRows: 4 };

async function takeAll(person: Person, project: Project, count: number): Promise<number[]> {
  const order: number[] = [];
  for (let i = 0; i < count; i++) order.push((await person.take(project)).taskId);
  return order;
}

test('sequential: import order, whatever the priorities', async () => {
  const project = await world.project({ strategy: 'sequential' });
  const tasks = await world.tasks(
    project,
    [3, 1, 2, 9, 0].map((priority) => ({ priority })),
  );
  const node = await world.engine();
  expect(await takeAll(await node.arrive({ capacity: 10 }), project, 5)).toEqual(tasks);
});

test('priority: higher first, then import order, through a window that is smaller than the project', async () => {
  const project = await world.project({ strategy: 'priority' });
  const priorities = [0, 5, 1, 5, 0, 9, 1, 1, 0, 0, 2, 2, 7, 0, 0, 3];
  const tasks = await world.tasks(
    project,
    priorities.map((priority) => ({ priority })),
  );
  const node = await world.engine({ limits: SMALL });
  const expected = tasks
    .map((id, i) => ({ id, priority: at(priorities, i) }))
    .sort((a, b) => b.priority - a.priority || a.id - b.id)
    .map((task) => task.id);
  expect(await takeAll(await node.arrive({ capacity: 20 }), project, 16)).toEqual(expected);
});

test('random: everything once, not in import order, and the same for everybody', async () => {
  const project = await world.project({ strategy: 'random', overlap: 2, startedFirst: false });
  const tasks = await world.tasks(
    project,
    Array.from({ length: 30 }, () => ({})),
  );
  const node = await world.engine({ limits: SMALL });
  const order = await takeAll(await node.arrive({ capacity: 30 }), project, 30);
  expect(order).not.toEqual(tasks);
  expect([...order].sort((a, b) => a - b)).toEqual(tasks);
});

test('startedFirst finishes started tasks before fresh ones; spread takes fresh ones first', async () => {
  for (const startedFirst of [true, false]) {
    const project = await world.project({ overlap: 2, startedFirst, strategy: 'sequential' });
    const tasks = await world.tasks(project, [{}, {}, {}]);
    const node = await world.engine();
    const one = await node.arrive();
    await one.submit(await one.take(project));
    const two = await node.arrive({ capacity: 3 });
    const order = await takeAll(two, project, 3);
    expect(order).toEqual(startedFirst ? tasks : [at(tasks, 1), at(tasks, 2), at(tasks, 0)]);
    await node.engine.stop();
  }
});

test('requirements of the project and of the task decide who gets what', async () => {
  const french: Requirement = { skill: 'french', op: '>=', value: 50 };
  const project = await world.project({ requirements: [french], strategy: 'sequential' });
  const medical: Requirement = {
    any: [{ skill: 'doctor', op: '=', value: 100 }, { all: [{ skill: 'nurse', op: '>', value: 10 }] }],
  };
  const tasks = await world.tasks(project, [{ requirements: [medical] }, {}]);
  const node = await world.engine();
  expect(await (await node.arrive()).wait(project)).toMatchObject({ skill: 2 });
  const speaker = await node.arrive({ skills: { french: 50 }, capacity: 2 });
  expect((await speaker.take(project)).taskId).toBe(at(tasks, 1));
  expect(await speaker.wait(project)).toMatchObject({ skill: 1, leased: 1 });
  const doctor = await node.arrive({ skills: { french: 99, doctor: 100 } });
  expect((await doctor.take(project)).taskId).toBe(at(tasks, 0));
});

test('a skill that somebody gains opens tasks their search has passed, whether they are here or not', async () => {
  const project = await world.project({ strategy: 'sequential' });
  const requirements: Requirement[] = [{ skill: 'french', op: '>=', value: 50 }];
  await world.tasks(project, [{ requirements }, { requirements }]);
  const node = await world.engine();
  const here = await node.arrive();
  const gone = await node.arrive();
  await here.wait(project);
  await gone.wait(project);
  gone.disconnect();
  await node.clock.advance(20_000);
  for (const person of [here, gone]) {
    await world.changeAnnotator(person.id, { skills: { french: 60 } });
    granted(await node.engine.control.annotatorChanged(person.id, 'sup'));
  }
  expect(await here.assigned()).toBeDefined();
  await gone.connect();
  expect(await gone.take(project)).toBeDefined();
});

test('a members-only project is closed to others, until they become members', async () => {
  const project = await world.project({ access: 'members' });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  expect(await person.tryRequest([project])).toMatchObject({ ok: false, code: 'no_projects' });
  await world.db('project_members').insert({ project_id: project.id, annotator_id: person.id });
  granted(await node.engine.control.annotatorChanged(person.id, 'sup'));
  expect(await person.take(project)).toBeDefined();
});

test('an annotator who has done nearly all finds the last task behind many windows', async () => {
  const project = await world.project({ strategy: 'sequential', overlap: 2 });
  const tasks = await world.tasks(
    project,
    Array.from({ length: 60 }, () => ({})),
  );
  const node = await world.engine({ limits: SMALL });
  const person = await node.arrive({ capacity: 100 });
  // Everything but the last task has an answer of theirs.
  await world
    .db('tasks')
    .where({ project_id: project.id })
    .whereNot({ id: at(tasks, 59) })
    .update({ had: world.db.raw('array[?::int]', [person.id]) });
  expect((await person.take(project)).taskId).toBe(at(tasks, 59));
  await person.wait(project);
  // The history knows nothing of what was written by hand.
  await world.db('tasks').where({ project_id: project.id }).update({ had: '{}' });
});

test('imports of higher priority go before what is in memory', async () => {
  const project = await world.project({ strategy: 'priority' });
  await world.tasks(
    project,
    Array.from({ length: 10 }, () => ({})),
  );
  const node = await world.engine({ limits: SMALL });
  const person = await node.arrive({ capacity: 20 });
  await person.take(project);
  const urgent = await world.tasks(project, [{ priority: 1 }, { priority: 2 }]);
  granted(await node.engine.control.tasksImported(project.id));
  expect(await takeAll(person, project, 2)).toEqual([at(urgent, 1), at(urgent, 0)]);
  expect(await takeAll(person, project, 9)).toHaveLength(9);
});

test('announcing twice counts once, and a crash before the announcement loses nothing', async () => {
  const project = await world.project();
  await world.tasks(project, [{}, {}]);
  const node = await world.engine();
  const first = await Promise.all([1, 2].map(() => node.engine.control.tasksImported(project.id)));
  expect(first.map((answer) => granted(answer).announced).reduce((a, b) => a + b)).toBeLessThanOrEqual(2);
  await world.tasks(project, [{}]);
  await node.crash();
  const second = await world.engine();
  granted(await second.engine.control.tasksImported(project.id));
  expect(await world.count('shards', { id: project.shardId, tasks: 3, waiting: 3 })).toBe(1);
});

test('a request for any project goes to the one of higher priority, and on to the next', async () => {
  const low = await world.project({ projectPriority: 1 });
  const high = await world.project({ projectPriority: 2 });
  for (const project of [low, high]) await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive({ capacity: 3 });
  expect((await person.take(high)).project).toBe(high.slug);
  await person.release(at((await person.state()).assignments, 0));
  const answers = [];
  for (const requestId of ['a', 'b'])
    answers.push(granted(await node.engine.work.request({ annotatorId: person.id, requestId })));
  expect(answers).toMatchObject([
    { assignment: { project: high.slug } },
    { assignment: { project: low.slug } },
  ]);
});
