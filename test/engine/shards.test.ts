import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAdmin } from '../../engine/admin/index.ts';
import type { ControlDoor } from '../../engine/door.ts';
import type { ShardId, TaskId } from '../../engine/ids.ts';
import { ok, type Result } from '../../engine/refusals.ts';
import type { ProjectRecord } from '../../engine/store/admin/projects.ts';
import { at, codeOf, granted, type Node, type Project, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

const tasks = (count: number) => Array.from({ length: count }, () => ({}));

/** As PATCH does it. @param control whom the engines are told by. */
async function trySetShards(
  project: Project,
  shards: number,
  control: ControlDoor,
): Promise<Result<ProjectRecord>> {
  return createAdmin({ db: world.db, engine: { control } }).projects.change({
    slug: project.slug,
    settings: (present) => ok({ ...present, shards }),
    namesShards: true,
    actor: 'admin:1',
  });
}

async function setShards(project: Project, shards: number, node: Node): Promise<Project> {
  return { ...project, record: granted(await trySetShards(project, shards, node.engine.control)) };
}

/** A door that reaches nobody, as when the process dies before it can tell anybody. */
function toNobody(node: Node): ControlDoor {
  const { control } = node.engine;
  return Object.assign(Object.create(control), {
    projectChanged: async () => ok({ seen: true as const }),
    tasksImported: async () => ok({ announced: 0 }),
  });
}

async function shardOf(taskId: TaskId): Promise<ShardId | undefined> {
  const row: { shard_id: ShardId } | undefined = await world
    .db('tasks')
    .where({ id: taskId })
    .first('shard_id');
  return row?.shard_id;
}

async function tasksPerPart(project: Project): Promise<number[]> {
  const { rows } = await world.db.raw<{ rows: { count: number }[] }>(
    `select (select count(*)::int from tasks t where t.shard_id = s.id) as count
     from shards s where s.project_id = ? order by s.part`,
    [project.id],
  );
  return rows.map((row) => row.count);
}

test('an import is spread evenly over the shards, in the order of the import, and every shard counts its part', async () => {
  const project = await world.project({ shards: 4, strategy: 'sequential' });
  await world.tasks(project, tasks(400));
  const counts = await tasksPerPart(project);
  expect(counts).toHaveLength(4);
  for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(40);
  const node = await world.engine();
  granted(await node.engine.control.tasksImported(project.id));
  const admin = createAdmin({ db: world.db, engine: node.engine });
  const { counters } = granted(await admin.projects.stats(project.slug));
  expect(counters).toMatchObject({ tasks: 400, waiting: 400, lastSeqs: [1, 1, 1, 1] });
  const person = await node.arrive({ capacity: 5 });
  const first = [];
  for (let i = 0; i < 5; i++) first.push((await person.take(project)).taskId);
  expect(first).toEqual([...first].sort((a, b) => a - b));
});

test('who finds nothing in one shard goes on to the others, and who waits is woken by any of them', async () => {
  const project = await world.project({ shards: 3 });
  await world.tasks(project, tasks(12));
  const node = await world.engine();
  const person = await node.arrive({ capacity: 12 });
  for (let i = 0; i < 12; i++) await person.take(project);
  const waiter = await node.arrive();
  for (let part = 0; part < 3; part++) {
    await waiter.wait(project);
    const before = waiter.pushed('assigned').length;
    // One task, into the shard that has this part.
    const [shardId] = [at(project.record.shardIds, part)];
    const [task] = await world.tasks({ ...project, record: { ...project.record, shardIds: [shardId] } }, [
      {},
    ]);
    granted(await node.engine.control.tasksImported(project.id));
    const view = await waiter.assigned();
    expect(waiter.pushed('assigned')).toHaveLength(before + 1);
    expect(view).toMatchObject({ taskId: task, shardId });
    await waiter.submit(view);
  }
});

test('annotators of one engine begin in different shards', async () => {
  const project = await world.project({ shards: 4 });
  await world.tasks(project, tasks(200));
  const node = await world.engine();
  const people = await Promise.all(tasks(40).map(() => node.arrive()));
  const views = await Promise.all(people.map((person) => person.take(project)));
  for (const shardId of project.record.shardIds)
    expect(views.filter((view) => view.shardId === shardId).length).toBeGreaterThan(2);
});

test('growing moves what is at rest, evenly and with its priorities, and leaves what is leased or answered', async () => {
  const wish = Array.from({ length: 400 }, (_, i) => ({ priority: i % 2, overlap: 2 }));
  let project = await world.project({ overlap: 2 });
  await world.tasks(project, wish);
  const node = await world.engine();
  const answerer = await node.arrive();
  const answered = await answerer.take(project);
  await answerer.submit(answered);
  const holder = await node.arrive({ capacity: 2 });
  const held = [await holder.take(project), await holder.take(project)];
  project = await setShards(project, 4, node);
  const counts = await tasksPerPart(project);
  for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(40);
  for (const view of [answered, ...held]) expect(await shardOf(view.taskId)).toBe(project.shardId);
  for (const shardId of project.record.shardIds) {
    const high = await world.count('tasks', { shard_id: shardId, priority: 1 });
    expect(Math.abs(high - (await world.count('tasks', { shard_id: shardId })) / 2)).toBeLessThan(25);
  }
  expect(await holder.beat(...held)).toEqual({ alive: 2, ended: 0 });
  for (const view of held) await holder.submit(view);
  const admin = createAdmin({ db: world.db, engine: node.engine });
  const { counters } = granted(await admin.projects.stats(project.slug));
  expect(counters).toMatchObject({ tasks: 400, submitted: 3 });
  expect(counters.waiting + counters.complete).toBe(400);
  // Again: there is nothing left to do, and nobody is disturbed.
  const epochs = () => world.db('shards').where({ project_id: project.id }).orderBy('part').pluck('epoch');
  const before = await epochs();
  await setShards(project, 4, node);
  expect(await epochs()).toEqual(before);
});

test('an owner that has not heard of a move is fenced by its next commit, and leases nothing that has moved (I6)', async () => {
  let project = await world.project();
  await world.tasks(project, tasks(30));
  const node = await world.engine();
  const person = await node.arrive({ capacity: 30 });
  const held = await person.take(project);
  project = { ...project, record: granted(await trySetShards(project, 3, toNobody(node))) };
  expect(codeOf(await person.tryRequest([project], 'r'))).toBe('unavailable');
  expect(node.incidentsOf('commit_lost')).toHaveLength(1);
  // What the dead one could not tell is found by itself.
  await node.clock.advance(1_000);
  const taken = new Set([held.taskId, (await person.take(project, 'r')).taskId]);
  for (let i = 2; i < 30; i++) taken.add((await person.take(project)).taskId);
  expect(taken.size).toBe(30);
  const { rows } = await world.db.raw(
    'select 1 from assignments a join tasks t on t.id = a.task_id where a.shard_id <> t.shard_id',
  );
  expect(rows).toEqual([]);
  expect((await person.submit(held)).status).toBe('counted');
});

test('a late answer to a task that has moved meanwhile is taken by the shard that has it now', async () => {
  let project = await world.project({ heartbeatMs: 20_000 });
  await world.tasks(project, tasks(40));
  const node = await world.engine();
  const person = await node.arrive({ capacity: 40 });
  const views = [];
  for (let i = 0; i < 40; i++) views.push(await person.take(project));
  await node.clock.advance(20_000);
  expect(node.engine.status().leases).toBe(0);
  project = await setShards(project, 2, node);
  const moved = [];
  for (const view of views) if ((await shardOf(view.taskId)) !== project.shardId) moved.push(view);
  expect(moved.length).toBeGreaterThan(5);
  const [late, again, ended] = [at(moved, 0), at(moved, 1), at(moved, 2)];
  expect(await person.submit(late)).toMatchObject({ status: 'counted', late: true });
  expect(await person.submit(late)).toMatchObject({ status: 'counted', late: true });
  expect(codeOf(await node.engine.work.skip(person.id, ended.ref))).toBe('lease_ended');
  expect(await person.beat(ended)).toEqual({ alive: 0, ended: 1 });
  const detail = granted(
    await createAdmin({ db: world.db, engine: node.engine }).tasks.read(project.slug, late.taskId),
  );
  expect(detail.history.map(({ part, event }) => `${part} ${event}`)).toEqual([
    '0 assigned',
    '0 abandoned',
    '1 submitted',
  ]);
  // An owner that has not heard of the next move does not touch it either.
  await trySetShards(project, 1, toNobody(node));
  const answer = await person.trySubmit(again);
  expect(codeOf(answer)).toMatch(/ok|unavailable/);
  expect((await person.submit(again)).late).toBe(true);
  expect(await shardOf(again.taskId)).toBe(project.shardId);
});

test('a command on a task finds it where it is, whatever the owner of its old shard believes', async () => {
  const project = await world.project();
  const ids = await world.tasks(project, tasks(30));
  const node = await world.engine();
  await (await node.arrive()).take(project);
  await trySetShards(project, 2, toNobody(node));
  // Time to see that there is another shard; the owner of the first has noticed nothing.
  await node.clock.advance(1_000);
  const { control } = node.engine;
  const moved = await world.db('tasks').whereNot({ shard_id: project.shardId }).pluck('id');
  expect(moved.length).toBeGreaterThan(5);
  for (const id of ids) {
    const answer = await control.setPriority(project.id, id, 7, 'sup:1');
    if (!answer.ok) expect(answer.code).toBe('unavailable');
    granted(answer.ok ? answer : await control.setPriority(project.id, id, 7, 'sup:1'));
  }
  expect(await world.count('tasks', { priority: 7 })).toBe(30);
});

test('shrinking: nothing new goes into the shards that are emptied, and what is left there is finished there', async () => {
  let project = await world.project({ shards: 3, strategy: 'sequential', heartbeatMs: 20_000 });
  await world.tasks(project, tasks(60));
  const node = await world.engine();
  const holder = await node.arrive({ capacity: 60 });
  const held = [];
  for (let i = 0; i < 30; i++) held.push(await holder.take(project));
  const others = held.filter((view) => view.shardId !== project.shardId);
  expect(others.length).toBeGreaterThan(3);
  // This one has read all that there is in the first shard, and waits for more.
  project = await setShards(project, 1, node);
  await world.tasks(project, tasks(10));
  granted(await node.engine.control.tasksImported(project.id));
  expect((await tasksPerPart(project)).reduce((a, b) => a + b, 0)).toBe(70);
  expect(await world.count('tasks', { shard_id: project.shardId })).toBe(70 - others.length);
  // A lease in an emptied shard is given back: the task is still there to be had.
  const returned = at(others, 0);
  await holder.release(returned);
  const next = await node.arrive({ capacity: 60 });
  const taken = [];
  for (let i = 0; i < 41; i++) taken.push((await next.take(project)).taskId);
  expect(taken).toContain(returned.taskId);
  await next.wait(project);
  for (const view of held) if (view !== returned) await holder.submit(view);
});

test('who waits gets what comes into a shard that was not there when they began to wait', async () => {
  let project = await world.project();
  const node = await world.engine();
  const person = await node.arrive();
  await person.wait(project);
  project = await setShards(project, 2, node);
  const second = at(project.record.shardIds, 1);
  await world.tasks({ ...project, record: { ...project.record, shardIds: [second] } }, [{}]);
  granted(await node.engine.control.tasksImported(project.id));
  expect((await person.assigned()).shardId).toBe(second);
});

test('tasks that were moved into a shard whose queue was read to its end are found there', async () => {
  let project = await world.project({ shards: 2, strategy: 'sequential' });
  await world.tasks(project, tasks(40));
  const node = await world.engine();
  const person = await node.arrive({ capacity: 40 });
  // One shard has been read to its end and has nothing left; its ranks are not lower than those of the other.
  const counts = await tasksPerPart(project);
  const views = [];
  for (let i = 0; i < Math.max(...counts); i++) views.push(await person.take(project));
  project = await setShards(project, 1, node);
  const rest = new Set();
  for (let i = views.length; i < 40; i++) rest.add((await person.take(project)).taskId);
  expect(rest.size).toBe(40 - views.length);
});

test('a move that is cut short is gone on with by the same request', async () => {
  let project = await world.project();
  for (let i = 0; i < 3; i++) await world.tasks(project, tasks(900));
  const node = await world.engine();
  const person = await node.arrive({ capacity: 3 });
  const held = await person.take(project);
  const dying = Object.assign(Object.create(node.engine.control), {
    projectChanged: async () => ok({ seen: true as const }),
    tasksImported: () => Promise.reject(new Error('the process died')),
  });
  await expect(trySetShards(project, 4, dying)).rejects.toThrow('died');
  const half = await tasksPerPart(project);
  expect(Math.max(...half.slice(1))).toBeLessThan(600);
  project = await setShards(project, 4, node);
  for (const count of await tasksPerPart(project)) expect(Math.abs(count - 675)).toBeLessThan(120);
  expect((await person.submit(held)).status).toBe('counted');
  expect(await world.count('transitions', { event: 45 })).toBe(6);
});

test('when the number is changed again during a move, the last one holds', async () => {
  const project = await world.project();
  for (let i = 0; i < 3; i++) await world.tasks(project, tasks(900));
  const node = await world.engine();
  let isChanged = false;
  const { control } = node.engine;
  const slow = Object.assign(Object.create(control), {
    projectChanged: (...args: Parameters<ControlDoor['projectChanged']>) => control.projectChanged(...args),
    tasksImported: async (id: Project['id']) => {
      if (!isChanged) {
        isChanged = true;
        await setShards(project, 2, node);
      }
      return control.tasksImported(id);
    },
  });
  granted(await trySetShards(project, 4, slow));
  const [first = 0, second = 0, ...rest] = await tasksPerPart(project);
  expect(rest).toEqual([0, 0]);
  expect(Math.abs(first - second)).toBeLessThan(300);
});
