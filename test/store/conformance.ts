import { beforeEach, expect, test } from 'vitest';
import { emptyCounters } from '../../engine/commit/write-set.ts';
import {
  type AnnotatorId,
  type AssignmentId,
  asId,
  type Incarnation,
  type ShardId,
  type TaskId,
} from '../../engine/ids.ts';
import { LOWEST_KEY } from '../../engine/queue/key.ts';
import type {
  AssignmentInsert,
  CommitOutcome,
  ProjectRow,
  ShardBatch,
  Store,
  TaskRow,
} from '../../engine/store/store.ts';

import { at, ended, written } from './rows.ts';

const TERM_MS = 3_000;

/** A store with nothing in it but what the test puts there. */
export interface StoreBench {
  readonly store: Store;
  /** A project with tasks that were imported into its first shard. */
  project(args: { shards: number; tasks: number; overlap?: number }): Promise<ProjectRow>;
  annotator(capacity: number): Promise<AnnotatorId>;
  /** Sets the number of shards that take tasks, and moves what is at rest. No owner is told. */
  spread(project: ProjectRow, shards: number): Promise<void>;
  /** From now on the node has been silent for this long. */
  silence(incarnation: Incarnation, ms: number): Promise<void>;
}

/**
 * What the engine relies on, whatever keeps its rows: the simulator proves something about the real thing only if its
 * database refuses and allows the same.
 */
export function storeConformance(makeBench: () => Promise<StoreBench>): void {
  let bench: StoreBench;
  let store: Store;
  let project: ProjectRow;
  let shardId: ShardId;
  let node: Incarnation;
  let epoch: number;
  let tasks: TaskRow[];

  beforeEach(async () => {
    bench = await makeBench();
    store = bench.store;
    project = await bench.project({ shards: 2, tasks: 4, overlap: 2 });
    shardId = at(project.shardIds, 0);
    node = await join('one');
    epoch = (await store.takeShard(shardId, node, TERM_MS))?.epoch ?? 0;
    tasks = await ready({});
  });

  const join = (name: string): Promise<Incarnation> =>
    store.joinNode({ name, version: '1', address: `at-${name}`, roles: ['gateway', 'engine'] });

  const ready = (more: Partial<Parameters<Store['readReady']>[0]>): Promise<TaskRow[]> =>
    store.readReady({
      projectId: project.id,
      shardId,
      started: false,
      after: LOWEST_KEY,
      limit: 10,
      ...more,
    });

  const newId = async (): Promise<AssignmentId> =>
    asId<AssignmentId>((await store.allocateAssignmentIds()).first);

  /** One batch of this shard: what is not given is empty, numbers follow `fromSeq`. */
  const batch = (more: Partial<ShardBatch> & { fromSeq: number }): ShardBatch => ({
    shardId,
    projectId: project.id,
    epoch,
    toSeq: more.fromSeq + 1,
    counters: emptyCounters(),
    transitions: [
      {
        seq: more.fromSeq + 1,
        event: 'assigned',
        taskId: null,
        assignmentId: null,
        annotatorId: null,
        taskState: null,
        assignmentState: null,
        actor: null,
        detail: null,
      },
    ],
    assignmentInserts: [],
    assignmentReleases: [],
    assignmentClaims: [],
    tasks: [],
    annotations: [],
    drafts: [],
    announcedChunks: [],
    ...more,
  });

  const commit = (...batches: ShardBatch[]): Promise<CommitOutcome> =>
    store.commit(node, batches, () => undefined);

  const lease = async (
    annotatorId: AnnotatorId,
    more: Partial<AssignmentInsert> = {},
  ): Promise<AssignmentInsert> => ({
    id: await newId(),
    taskId: at(tasks, 0).id,
    annotatorId,
    slot: 0,
    capacitySlot: 0,
    attempt: 1,
    requestId: null,
    state: 'active',
    deadlineInMs: 60_000,
    endReason: null,
    ...more,
  });

  test('a node lives while it renews, and is dead for good after a term of silence', async () => {
    expect((await store.liveNodes(TERM_MS)).map((row) => row.incarnation)).toEqual([node]);
    await bench.silence(node, TERM_MS - 500);
    expect(await store.renewNode(node, TERM_MS)).toBe(true);
    await bench.silence(node, TERM_MS + 1);
    expect(await store.liveNodes(TERM_MS)).toEqual([]);
    expect(await store.renewNode(node, TERM_MS)).toBe(false);
    expect(await store.renewNode(asId<Incarnation>(node + 1_000), TERM_MS)).toBe(false);
    expect(await join('one')).toBeGreaterThan(node);
  });

  test('a shard is taken from nobody, from oneself and from the dead, under a higher epoch each time', async () => {
    const other = await join('two');
    expect(await store.takeShard(shardId, other, TERM_MS)).toBeUndefined();
    const again = await store.takeShard(shardId, node, TERM_MS);
    expect(again?.epoch).toBeGreaterThan(epoch);
    await bench.silence(node, TERM_MS + 1);
    const taken = await store.takeShard(shardId, other, TERM_MS);
    expect(taken?.epoch).toBeGreaterThan(again?.epoch ?? 0);
    expect(await store.takeShard(shardId, asId<Incarnation>(other + 1_000), TERM_MS)).toBeUndefined();
  });

  test('a shard is given back by its owner alone, and a node that leaves gives back all', async () => {
    const other = await join('two');
    await store.releaseShard(shardId, other);
    expect(await store.takeShard(shardId, other, TERM_MS)).toBeUndefined();
    await store.releaseShard(shardId, node);
    expect(await store.takeShard(shardId, other, TERM_MS)).toBeDefined();
    await store.leaveNode(other);
    expect((await store.liveNodes(TERM_MS)).map((row) => row.incarnation)).toEqual([node]);
    expect(await store.takeShard(shardId, node, TERM_MS)).toBeDefined();
  });

  test('who reads on from the last move sees every change of owner', async () => {
    const owners = await store.shardOwners(0);
    expect(owners.map((row) => [row.shardId, row.owner])).toEqual(
      expect.arrayContaining([
        [shardId, node],
        [project.shardIds[1], null],
      ]),
    );
    const last = Math.max(...owners.map((row) => row.move));
    expect((await store.shardOwners(last)).filter((row) => row.move > last)).toEqual([]);
    await store.releaseShard(shardId, node);
    const moved = (await store.shardOwners(last)).filter((row) => row.move > last);
    expect(moved).toMatchObject([{ shardId, projectId: project.id, owner: null }]);
  });

  test('a commit is fenced by owner, epoch and number, whole, and passes its fence once (I6, I7)', async () => {
    let passed = 0;
    expect(await store.commit(node, [batch({ fromSeq: 0 })], () => passed++)).toEqual({ kind: 'committed' });
    expect(passed).toBe(1);
    const other = await join('two');
    const second = at(project.shardIds, 1);
    const good = batch({
      shardId: second,
      epoch: (await store.takeShard(second, node, TERM_MS))?.epoch ?? 0,
      fromSeq: 0,
    });
    expect(await commit(batch({ fromSeq: 0 }), good)).toEqual({ kind: 'fenced', shardIds: [shardId] });
    expect(await commit(batch({ fromSeq: 2 }))).toEqual({ kind: 'fenced', shardIds: [shardId] });
    expect(await commit(batch({ fromSeq: 1, epoch: epoch - 1 }))).toEqual({
      kind: 'fenced',
      shardIds: [shardId],
    });
    expect(await store.commit(other, [batch({ fromSeq: 1 })], () => passed++)).toMatchObject({
      kind: 'fenced',
    });
    expect(passed).toBe(1);
    expect(await store.readBack([shardId, second])).toEqual(
      new Map([
        [shardId, { epoch, lastSeq: 1 }],
        [second, { epoch: good.epoch, lastSeq: 0 }],
      ]),
    );
    expect(await commit(batch({ fromSeq: 1 }), good)).toEqual({ kind: 'committed' });
  });

  test('a lease is there for whoever loads the shard, asks for its holder, or for it', async () => {
    const [anna, ben] = [await bench.annotator(1), await bench.annotator(1)];
    const given = await lease(anna, { requestId: 'r1', capacitySlot: 0, slot: 1 });
    await commit(batch({ fromSeq: 0, assignmentInserts: [given] }));
    const ref = { projectId: project.id, id: given.id };
    expect(await store.openLeasesOf([anna, ben])).toEqual([
      expect.objectContaining({ annotatorId: anna, ref, shardId, capacitySlot: 0, requestId: 'r1' }),
    ]);
    expect(await store.shardsWithOpenLeases()).toEqual([{ shardId, projectId: project.id }]);
    const image = await store.loadShard(shardId);
    expect(image?.open).toMatchObject([{ id: given.id, annotatorId: anna, slot: 1, state: 'active' }]);
    expect(image?.tasks.map((task) => task.id)).toEqual([given.taskId]);
    expect(await store.readAssignment(ref)).toMatchObject({ shardId, state: 'active', submission: null });
    await commit(batch({ fromSeq: 1, assignmentReleases: [ended(given.id, 'expired')] }));
    expect(await store.openLeasesOf([anna])).toEqual([]);
    expect(await store.shardsWithOpenLeases()).toEqual([]);
    expect(await store.readAssignment(ref)).toMatchObject({ state: 'expired' });
  });

  test('a slot is filled once, and by one person once (I1)', async () => {
    const [anna, ben] = [await bench.annotator(2), await bench.annotator(1)];
    await commit(batch({ fromSeq: 0, assignmentInserts: [await lease(anna)] }));
    const clashing = { kind: 'failed', clashingTask: at(tasks, 0).id };
    const sameSlot = await lease(ben);
    expect(await commit(batch({ fromSeq: 1, assignmentInserts: [sameSlot] }))).toMatchObject(clashing);
    const samePerson = await lease(anna, { slot: 1, capacitySlot: 1 });
    expect(await commit(batch({ fromSeq: 1, assignmentInserts: [samePerson] }))).toMatchObject(clashing);
    const other = await lease(ben, { slot: 1 });
    expect(await commit(batch({ fromSeq: 1, assignmentInserts: [other] }))).toEqual({ kind: 'committed' });
  });

  test('a place of capacity is filled once over all shards, and a request id leads to one open lease (I2, I4)', async () => {
    const anna = await bench.annotator(3);
    await commit(batch({ fromSeq: 0, assignmentInserts: [await lease(anna, { requestId: 'r1' })] }));
    const more = { taskId: at(tasks, 1).id };
    const over = { kind: 'over_capacity', annotatorId: anna };
    const samePlace = await lease(anna, more);
    expect(await commit(batch({ fromSeq: 1, assignmentInserts: [samePlace] }))).toEqual(over);
    const sameRequest = await lease(anna, { ...more, capacitySlot: 1, requestId: 'r1' });
    expect(await commit(batch({ fromSeq: 1, assignmentInserts: [sameRequest] }))).toEqual(over);
    const other = await lease(anna, { ...more, capacitySlot: 1, requestId: 'r2' });
    expect(await commit(batch({ fromSeq: 1, assignmentInserts: [other] }))).toEqual({ kind: 'committed' });
  });

  test('what one commit gives back it can give out again', async () => {
    const [anna, ben] = [await bench.annotator(1), await bench.annotator(1)];
    const first = await lease(anna, { requestId: 'r1' });
    await commit(batch({ fromSeq: 0, assignmentInserts: [first] }));
    const outcome = await commit(
      batch({
        fromSeq: 1,
        assignmentReleases: [ended(first.id, 'skipped')],
        assignmentInserts: [await lease(anna, { taskId: at(tasks, 1).id }), await lease(ben)],
      }),
    );
    expect(outcome).toEqual({ kind: 'committed' });
    expect(await store.openLeasesOf([anna, ben])).toHaveLength(2);
  });

  test('an answer, a draft and a task are read as they were written', async () => {
    const anna = await bench.annotator(1);
    const task = at(tasks, 0);
    const given = await lease(anna);
    const key = { taskId: task.id, annotatorId: anna };
    const draft = { ...key, assignmentId: given.id };
    await commit(
      batch({ fromSeq: 0, assignmentInserts: [given], drafts: [{ ...draft, draftText: '{"a":[1]}' }] }),
    );
    expect(await store.readDrafts([key, { ...key, taskId: at(tasks, 1).id }])).toEqual([
      { a: [1] },
      undefined,
    ]);
    await commit(
      batch({
        fromSeq: 1,
        assignmentReleases: [ended(given.id, 'submitted')],
        tasks: [written(task, { filled: 1, filledSlots: [0], had: [anna], attempts: 2, requeued: true })],
        annotations: [
          {
            assignmentId: given.id,
            ...key,
            counted: true,
            late: false,
            submissionId: 's1',
            resultText: '{}',
            leadTimeMs: 5,
          },
        ],
        drafts: [{ ...draft, draftText: null }],
      }),
    );
    expect(await store.readDrafts([key])).toEqual([undefined]);
    expect(await store.readAssignment({ projectId: project.id, id: given.id })).toMatchObject({
      state: 'submitted',
      submission: { id: 's1', counted: true, late: false },
    });
    const where = { projectId: project.id, shardId, taskId: task.id };
    expect(await store.readTask(where)).toMatchObject({
      filled: 1,
      filledSlots: [0],
      had: [anna],
      attempts: 2,
      requeued: true,
    });
    expect(await store.readTask({ ...where, shardId: at(project.shardIds, 1) })).toBeUndefined();
    expect(await store.shardOfTask(project.id, task.id)).toBe(shardId);
  });

  test('the queue is read lane by lane, in order, from any place in it', async () => {
    const anna = await bench.annotator(1);
    const [first, second, third, fourth] = tasks;
    expect(tasks.map((task) => task.queueRank)).toEqual(
      tasks.map((task) => task.queueRank).sort((a, b) => a - b),
    );
    if (!first || !second || !third || !fourth) throw new Error('four tasks were imported');
    const ids = (rows: readonly TaskRow[]): TaskId[] => rows.map((row) => row.id);
    await commit(
      batch({
        fromSeq: 0,
        tasks: [
          written(first, { filled: 1, filledSlots: [0], had: [anna] }),
          written(second, { state: 'held', condition: 'supervisor' }),
        ],
      }),
    );
    expect(ids(await ready({}))).toEqual([third.id, fourth.id]);
    expect(ids(await ready({ after: third }))).toEqual([fourth.id]);
    expect(ids(await ready({ limit: 1 }))).toEqual([third.id]);
    expect(ids(await ready({ started: true }))).toEqual([first.id]);
    expect(await ready({ started: true, notHadBy: anna })).toEqual([]);
    expect(await ready({ shardId: at(project.shardIds, 1) })).toEqual([]);
  });

  test('an import waits to be announced, and is announced once', async () => {
    const chunks = await store.unannouncedChunks(shardId);
    expect(chunks.reduce((sum, chunk) => sum + chunk.created, 0)).toBe(4);
    await commit(batch({ fromSeq: 0, announcedChunks: chunks.map((chunk) => chunk.id) }));
    expect(await store.unannouncedChunks(shardId)).toEqual([]);
  });

  test('tasks at rest move: their old owner is fenced, their new one is told, and all that is asked of them says where they are (I6)', async () => {
    const large = await bench.project({ shards: 2, tasks: 40 });
    const [first, second] = [at(large.shardIds, 0), at(large.shardIds, 1)];
    const taken = (await store.takeShard(first, node, TERM_MS))?.epoch ?? 0;
    const rows = await ready({ projectId: large.id, shardId: first, limit: 40 });
    const anna = await bench.annotator(2);
    const held = await lease(anna, { taskId: at(rows, 0).id });
    const over: AssignmentInsert[] = [];
    for (const row of rows.slice(1)) over.push(await lease(anna, { taskId: row.id, state: 'expired' }));
    const mine = { projectId: large.id, shardId: first, epoch: taken };
    await commit(batch({ fromSeq: 0, ...mine, assignmentInserts: [held, ...over] }));
    await bench.spread(large, 2);

    const moved = await ready({ projectId: large.id, shardId: second, limit: 40 });
    expect(moved.length).toBeGreaterThan(3);
    expect(await ready({ projectId: large.id, shardId: first, limit: 40 })).toHaveLength(40 - moved.length);
    expect(moved.map((row) => row.id)).not.toContain(held.taskId);
    for (const { id, taskId } of [held, ...over]) {
      const shardOf = moved.some((row) => row.id === taskId) ? second : first;
      expect(await store.shardOfTask(large.id, taskId)).toBe(shardOf);
      expect((await store.readAssignment({ projectId: large.id, id }))?.shardId).toBe(shardOf);
    }
    const { id: taskId } = at(moved, 0);
    expect(await store.readTask({ projectId: large.id, shardId: first, taskId })).toBeUndefined();
    expect(await store.readTask({ projectId: large.id, shardId: second, taskId })).toMatchObject({
      filled: 0,
    });
    const chunks = await store.unannouncedChunks(second);
    expect(chunks.map((chunk) => chunk.movedFrom)).toEqual(chunks.map(() => 0));
    expect(chunks.reduce((sum, chunk) => sum + chunk.created, 0)).toBe(moved.length);
    const owners = new Map((await store.shardOwners(0)).map((row) => [row.shardId, row]));
    expect(owners.get(second)).toMatchObject({ projectId: large.id, hasNews: true });

    const fenced = { kind: 'fenced', shardIds: [first] };
    expect(await commit(batch({ fromSeq: 1, ...mine }))).toEqual(fenced);
    const now = (await store.readBack([first])).get(first);
    expect(now?.epoch).toBeGreaterThan(taken);
    expect(now?.lastSeq).toBeGreaterThan(1);
    expect(await commit(batch({ ...mine, fromSeq: now?.lastSeq ?? 0 }))).toEqual(fenced);
    const again = await store.takeShard(first, node, TERM_MS);
    expect(again?.lastSeq).toBe(now?.lastSeq);
    const renewed = { ...mine, fromSeq: again?.lastSeq ?? 0, epoch: again?.epoch ?? 0 };
    expect(await commit(batch(renewed))).toEqual({ kind: 'committed' });
  });

  test('blocks of assignment ids do not meet', async () => {
    const [one, two] = [await store.allocateAssignmentIds(), await store.allocateAssignmentIds()];
    expect(two.first).toBeGreaterThanOrEqual(one.first + one.count);
  });
}
