import { expect, test } from 'vitest';
import { type Clock, systemClock } from './clock.ts';
import { Drafts } from './drafts.ts';
import { type AnnotatorId, asId, type TaskId } from './ids.ts';
import type { DraftKey } from './store/store.ts';

const [task, person] = [(n: number) => asId<TaskId>(n), (n: number) => asId<AnnotatorId>(n)];
const clock: Clock = systemClock();

function draftsOf(read: (of: readonly DraftKey[]) => Promise<(string | undefined)[]>) {
  const asked: number[] = [];
  const readDrafts = (of: readonly DraftKey[]) => {
    asked.push(of.length);
    return read(of);
  };
  return { asked, drafts: new Drafts({ readDrafts }, clock) };
}

test('those who ask in one turn share a query, and each gets their own', async () => {
  const { asked, drafts } = draftsOf(async (of) =>
    of.map(({ taskId, annotatorId }) => (taskId === 2 ? undefined : `${taskId}/${annotatorId}`)),
  );
  const found = await Promise.all([1, 2, 3].map((n) => drafts.get(task(n), person(n * 10))));
  expect(found).toEqual(['1/10', undefined, '3/30']);
  expect(asked).toEqual([3]);
});

test('those who ask while a query is under way share the next, of a bounded size', async () => {
  const { asked, drafts } = draftsOf(async (of) => of.map(() => undefined));
  await Promise.all(Array.from({ length: 1_200 }, (_, n) => drafts.get(task(n + 1), person(n + 1))));
  expect(asked).toEqual([500, 500, 200]);
});

test('a database that is away fails those who asked, and no others', async () => {
  let isAway = true;
  const { drafts } = draftsOf(async (of) => {
    if (isAway) throw new Error('away');
    return of.map(() => 'there');
  });
  await expect(drafts.get(task(1), person(1))).rejects.toThrow('away');
  isAway = false;
  expect(await drafts.get(task(1), person(1))).toBe('there');
});
