import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ASSIGNMENT_STATE_CODES as ASSIGNMENT, TASK_STATE_CODES as TASK } from '../../engine/store/codes.ts';
import { check, KINDS, readRowsFile, rowsText } from './checker/index.ts';
import { Story } from './story.ts';

/** Two tasks, one with two answers; a lease that was lost and one that was given back; drafts; late and repeated messages. */
function goodStory(): Story {
  const story = new Story();
  story.task(1);
  story.task(2, 2);
  story.grant(11, { task: 1, annotator: 1, atMs: 1_000 });
  story.draft(11, 1_500, { text: 'half' });
  story.say({
    event: 'work:heartbeat',
    annotator: 1,
    startMs: 3_000,
    alive: [{ assignmentId: '1-11', expiresInMs: 6_000 }],
  });
  story.end(11, 'abandoned', 9_050, 'heartbeat_silence');
  story.grant(12, { task: 1, annotator: 2, atMs: 9_100 });
  story.submit(12, 9_900);
  story.grant(21, { task: 2, annotator: 1, atMs: 10_000 });
  story.end(21, 'released', 10_500, 'released');
  story.say({ event: 'work:release', annotator: 1, startMs: 10_495, assignmentId: '1-21' });
  story.grant(22, { task: 2, annotator: 2, atMs: 11_000 });
  story.grant(23, { task: 2, annotator: 3, atMs: 11_000, slot: 1 });
  story.submit(22, 11_500);
  story.submit(23, 11_600);
  story.say({
    event: 'work:submit',
    annotator: 3,
    startMs: 11_700,
    assignmentId: '1-23',
    submissionId: 'other',
    payload: {},
    outcome: 'refused',
    code: 'already_submitted',
  });
  return story;
}

function kindsOf(story: Story): string[] {
  return [...new Set(check(story.histories(), story.rows()).map(({ kind }) => kind))];
}

/** Each breaks the good story in one way. */
const BREAKS: readonly [kind: (typeof KINDS)[number], what: string, tell: (story: Story) => void][] = [
  ['lost', 'an acknowledged answer that is not there', (story) => story.annotations.pop()],
  [
    'lost',
    'an acknowledged release of a lease that was answered',
    (story) => story.say({ event: 'work:release', annotator: 3, startMs: 11_590, assignmentId: '1-23' }),
  ],
  [
    'lost',
    'a lease that was told and is not there',
    (story) =>
      story.say({
        event: 'work:request',
        annotator: 3,
        startMs: 12_000,
        leases: [{ id: '1-99', project: 'alpha', taskId: '1', expiresInMs: 10 }],
      }),
  ],
  [
    'lost',
    'an acknowledged import that is not there',
    (story) =>
      story.lines.push({
        t: 'import',
        project: 'alpha',
        externalIds: ['gone'],
        startMs: 0,
        endMs: 1,
        outcome: 'ok',
      }),
  ],
  ['differs', 'another result than was sent', (story) => change(story.annotations, { result: { label: 0 } })],
  [
    'differs',
    'an answer that counts and was said not to',
    (story) => change(story.annotations, { counted: false }),
  ],
  [
    'differs',
    'two receipts of one answer',
    (story) =>
      story.say({
        event: 'work:submit',
        annotator: 3,
        startMs: 11_650,
        assignmentId: '1-23',
        submissionId: 's-23',
        payload: { label: 23 },
        receipt: { assignmentId: '1-23', submissionId: 's-23', status: 'counted', late: true },
      }),
  ],
  [
    'unexpected',
    'an answer that nobody gave',
    (story) => {
      story.lines.splice(
        story.lines.findIndex((line) => line.t === 'op' && line.submissionId === 's-12'),
        1,
      );
    },
  ],
  ['unexpected', 'a task that nobody imported', (story) => change(story.tasks, { external_id: 'stranger' })],
  [
    'double_work',
    'a task that is there twice',
    (story) => {
      story.task(3);
      change(story.tasks, { external_id: 't-1' });
    },
  ],
  [
    'double_work',
    'somebody who answered a task twice',
    (story) => {
      const [first] = story.annotations;
      if (first) story.annotations.push({ ...first, assignment_id: 77 });
    },
  ],
  [
    'double_work',
    'a request that led to two open leases',
    (story) => {
      story.capacities.set(2, 2);
      story.task(3);
      story.grant(31, { task: 3, annotator: 2, atMs: 11_200 });
      change(story.assignments, { request_id: 'r-22' });
      story.submit(31, 11_400);
    },
  ],
  [
    'over_capacity',
    'more leases than the capacity, for a moment',
    (story) => {
      story.task(3);
      story.grant(31, { task: 3, annotator: 2, atMs: 11_200 });
      story.submit(31, 11_400);
    },
  ],
  [
    'over_overlap',
    'more assignments than the overlap, for a moment',
    (story) => {
      story.task(3);
      story.grant(31, { task: 3, annotator: 1, atMs: 12_000 });
      story.grant(32, { task: 3, annotator: 2, atMs: 12_100 });
      story.end(31, 'skipped', 12_200, 'skipped');
      story.submit(32, 12_300);
    },
  ],
  [
    'early_expiry',
    'a lease that ended before the last beat allowed it',
    (story) => {
      story.task(3);
      story.grant(31, { task: 3, annotator: 1, atMs: 12_000 });
      story.end(31, 'abandoned', 17_000, 'heartbeat_silence');
      story.grant(32, { task: 3, annotator: 2, atMs: 17_100 });
      story.submit(32, 17_200);
    },
  ],
  [
    'early_expiry',
    'a lease whose holder was gone for less than the grace',
    (story) => {
      story.task(3);
      story.grant(31, { task: 3, annotator: 1, atMs: 12_000 });
      story.end(31, 'abandoned', 15_000, 'disconnected');
      story.grant(32, { task: 3, annotator: 2, atMs: 17_100 });
      story.submit(32, 17_200);
    },
  ],
  ['lost_draft', 'a draft that is gone', (story) => story.drafts.pop()],
  ['lost_draft', 'a draft that nobody saved', (story) => change(story.drafts, { draft: { text: 'older' } })],
  [
    'lost_draft',
    'a draft that did not come back with its task',
    (story) => {
      story.say({
        event: 'session:sync',
        annotator: 1,
        startMs: 12_000,
        leases: [{ id: '1-12', project: 'alpha', taskId: '1', expiresInMs: 6_000 }],
      });
    },
  ],
  [
    'stale_holder',
    'a draft that was taken after the end of its lease',
    (story) => story.draft(11, 10_000, { text: 'late' }),
  ],
  [
    'stale_holder',
    'a beat that found a lease alive after its end',
    (story) =>
      story.say({
        event: 'work:heartbeat',
        annotator: 1,
        startMs: 10_000,
        alive: [{ assignmentId: '1-11', expiresInMs: 1 }],
      }),
  ],
  [
    'stale_holder',
    'an answer that was taken as in time after its lease had ended',
    (story) =>
      story.say({
        event: 'work:submit',
        annotator: 1,
        startMs: 10_000,
        assignmentId: '1-11',
        submissionId: 's-11',
        payload: {},
        receipt: { assignmentId: '1-11', submissionId: 's-11', status: 'counted', late: false },
      }),
  ],
  ['stranded', 'a task that nobody did', (story) => story.task(3)],
  [
    'stranded',
    'a lease that is open after its deadline',
    (story) => {
      story.task(3);
      story.grant(31, { task: 3, annotator: 1, atMs: 12_000 });
    },
  ],
  ['history', 'a gap in the numbers', (story) => story.transitions.splice(3, 1)],
  [
    'history',
    'a state that is not what the transitions say',
    (story) => change(story.tasks, { attempts: 5 }),
  ],
  [
    'stale_epoch',
    'a commit of an incarnation that had lost the shard',
    (story) => change(story.commits, { row_owner: 2, row_epoch: 2 }),
  ],
  [
    'stale_epoch',
    'an epoch that went back',
    (story) => {
      const [first] = story.commits;
      if (first) Object.assign(first, { epoch: 2, row_epoch: 2 });
    },
  ],
  [
    'stale_epoch',
    'two incarnations under one epoch',
    (story) => change(story.commits, { incarnation: 2, row_owner: 2 }),
  ],
  ['stale_epoch', 'a commit that passed over another', (story) => change(story.commits, { row_seq: 99 })],
  [
    'unexpected_answer',
    'a refusal that says that something is broken',
    (story) =>
      story.say({
        event: 'work:request',
        annotator: 1,
        startMs: 12_000,
        outcome: 'refused',
        code: 'internal',
      }),
  ],
  [
    'unexpected_answer',
    'an import that was refused for a bug',
    (story) =>
      story.lines.push({
        t: 'import',
        project: 'alpha',
        externalIds: ['t-1'],
        startMs: 0,
        endMs: 1,
        outcome: 'unknown',
        code: 'internal',
      }),
  ],
  [
    'node_failed',
    'a node that ended by itself',
    (story) => story.lines.push({ t: 'node', name: 'engine-1', what: 'ended_by_itself', atMs: 1 }),
  ],
];

/** Changes the last row. */
function change<Row extends object>(rows: Row[], changes: Partial<Row>): void {
  const last = rows.at(-1);
  if (!last) throw new Error('there is no row');
  Object.assign(last, changes);
}

test('a story in which all is well has no violations', () => {
  expect(check(goodStory().histories(), goodStory().rows())).toEqual([]);
});

test.each(BREAKS)('%s: %s', (kind, _what, tell) => {
  const story = goodStory();
  tell(story);
  expect(kindsOf(story)).toContain(kind);
});

test('every kind of violation is tested', () => {
  expect(new Set(BREAKS.map(([kind]) => kind))).toEqual(new Set(KINDS));
});

test('a connection that goes may shorten a lease to the grace, and no more is held against it', () => {
  const story = goodStory();
  story.task(3);
  story.grant(31, { task: 3, annotator: 1, atMs: 12_000 });
  story.end(31, 'abandoned', 16_100, 'disconnected');
  story.grant(32, { task: 3, annotator: 2, atMs: 17_100 });
  story.submit(32, 17_200);
  expect(kindsOf(story)).toEqual([]);
});

test('a task that everybody has had may wait for ever', () => {
  const story = goodStory();
  story.task(3, 2);
  for (const annotator of [1, 2]) {
    story.grant(30 + annotator, { task: 3, annotator, atMs: 12_000 + annotator });
    story.end(30 + annotator, 'skipped', 12_100 + annotator, 'skipped');
  }
  story.grant(33, { task: 3, annotator: 3, atMs: 13_000 });
  story.submit(33, 13_100);
  const task = story.tasks.at(-1);
  expect([task?.state, task?.filled]).toEqual([TASK.waiting, 1]);
  expect(kindsOf(story)).toEqual([]);
});

test('an answer whose acknowledgement was lost is expected; a draft that may have overtaken another is, too', () => {
  const story = goodStory();
  for (const line of story.lines) {
    if (line.t === 'op' && line.submissionId === 's-12') {
      line.outcome = 'unknown';
      delete line.receipt;
    }
  }
  story.say({
    event: 'work:draft',
    annotator: 1,
    startMs: 1_400,
    assignmentId: '1-11',
    payload: { text: 'slow' },
    outcome: 'unknown',
  });
  change(story.drafts, { draft: { text: 'slow' } });
  expect(kindsOf(story)).toEqual([]);
});

test('rows that were kept are the same when they are read again', () => {
  const directory = mkdtempSync(join(tmpdir(), 'baton-test-rows-'));
  try {
    const story = goodStory();
    change(story.assignments, { state: ASSIGNMENT.revoked });
    const path = join(directory, 'rows.json');
    writeFileSync(path, rowsText(story.rows()));
    expect(readRowsFile(path)).toEqual(story.rows());
    expect(check(story.histories(), readRowsFile(path))).toEqual(check(story.histories(), story.rows()));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
