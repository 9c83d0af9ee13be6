import { expect, test } from 'vitest';
import {
  type AnnotatorId,
  type AssignmentId,
  asId,
  type ProjectId,
  type ShardId,
  type TaskId,
} from '../ids.ts';
import { newTaskEntry } from '../shard/task-entry.ts';
import type { AssignmentInsert } from '../store/store.ts';
import { WriteSet } from './write-set.ts';

const SHARD = { shardId: asId<ShardId>(1), projectId: asId<ProjectId>(1), epoch: 3 };
const id = (n: number) => asId<AssignmentId>(n);

function insert(n: number): AssignmentInsert {
  return {
    id: id(n),
    taskId: asId<TaskId>(1),
    annotatorId: asId<AnnotatorId>(1),
    slot: 0,
    capacitySlot: 0,
    attempt: 1,
    requestId: null,
    state: 'active',
    deadlineInMs: 5,
    endReason: null,
  };
}

test('a lease that is taken and given back in one batch is one row, in its last state', () => {
  const writes = new WriteSet(0);
  writes.insertAssignment(insert(1));
  writes.updateAssignment(id(1), { state: 'released', endReason: 'released' });
  const batch = writes.toBatch(SHARD);
  expect(batch.assignmentInserts).toMatchObject([{ id: 1, state: 'released', endReason: 'released' }]);
  expect([...batch.assignmentReleases, ...batch.assignmentClaims]).toEqual([]);
});

test('several changes of a row are one change; one that takes a slot again is a claim, the others are releases', () => {
  const writes = new WriteSet(0);
  writes.updateAssignment(id(1), { state: 'active', deadlineInMs: 70 });
  writes.updateAssignment(id(1), { state: 'expired', endReason: 'max_duration' });
  writes.updateAssignment(id(2), { state: 'submitted', slot: 1 });
  const batch = writes.toBatch(SHARD);
  expect(batch.assignmentReleases).toMatchObject([
    { id: 1, state: 'expired', endReason: 'max_duration', deadlineInMs: 70, slot: null },
  ]);
  expect(batch.assignmentClaims).toMatchObject([{ id: 2, state: 'submitted', slot: 1 }]);
});

test('transitions appear all, in order, and are numbered from the last one on', () => {
  const writes = new WriteSet(41);
  writes.transition({ event: 'assigned' });
  writes.transition({ event: 'submitted' });
  const batch = writes.toBatch(SHARD);
  expect(batch.transitions.map(({ seq, event }) => [seq, event])).toEqual([
    [42, 'assigned'],
    [43, 'submitted'],
  ]);
  expect(batch).toMatchObject({ fromSeq: 41, toSeq: 43, epoch: 3 });
});

test('a task is carried once, in the state it has when the batch is taken; a draft by its last text', () => {
  const writes = new WriteSet(0);
  const task = newTaskEntry(
    {
      id: asId<TaskId>(1),
      state: 'waiting',
      machineVersion: 1,
      overlap: 2,
      filled: 0,
      filledSlots: [],
      attempts: 0,
      condition: null,
      priority: 0,
      queuePriority: 0,
      queueRank: 1,
      had: [],
      requirements: null,
      requeued: false,
    },
    0,
    10,
  );
  writes.task(task);
  writes.task(task);
  expect(task.pendingWrites).toBe(1);
  task.had = [asId<AnnotatorId>(7)];
  const draft = { taskId: task.id, annotatorId: asId<AnnotatorId>(7), assignmentId: id(1) };
  writes.draft({ ...draft, draftText: '1' });
  writes.draft({ ...draft, draftText: null });
  const batch = writes.toBatch(SHARD);
  expect(batch.tasks).toMatchObject([{ id: 1, had: [7] }]);
  expect(batch.drafts).toEqual([{ ...draft, draftText: null }]);
});

test('only a batch that was committed is told of, in order; a large one in slices, all of it in the end', async () => {
  for (const result of ['committed', 'lost'] as const) {
    const writes = new WriteSet(0);
    const heard: string[] = [];
    const answers = Array.from({ length: 200 }, async (_, n) => {
      writes.transition({ event: 'assigned' });
      if (n % 100 === 0) writes.onCommitted(() => heard.push(`push ${n}`));
      return writes.done;
    });
    const deferred: (() => void)[] = [];
    writes.settle(result, (run) => deferred.push(run));
    expect(heard).toEqual(result === 'committed' ? ['push 0', 'push 100'] : []);
    expect(deferred).toHaveLength(1);
    for (let run = deferred.shift(); run; run = deferred.shift()) run();
    expect(new Set(await Promise.all(answers))).toEqual(new Set([result]));
  }
});
