import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LateSubmit } from '../../engine/settings.ts';
import { at, codeOf, granted, World } from './harness.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

/** One annotator whose lease of the only task has run out, and perhaps somebody else who has it now. */
async function lateComer(lateSubmit: LateSubmit, more: { slotIsFree: boolean; maxAttempts?: number }) {
  const { slotIsFree, ...settings } = more;
  const project = await world.project({ lateSubmit, heartbeatMs: 20_000, ...settings });
  const task = at(await world.tasks(project, [{}]), 0);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await node.clock.advance(20_000);
  const other = await node.arrive();
  const held = slotIsFree ? undefined : await other.take(project);
  return { project, node, person, view, other, held, task };
}

async function draftOf(annotatorId: number): Promise<unknown> {
  const row: { draft: unknown } | undefined = await world
    .db('drafts')
    .where({ annotator_id: annotatorId })
    .first('draft');
  return row?.draft;
}

test('accept: a late answer counts while its slot is free (I10)', async () => {
  const { person, view, task } = await lateComer('accept', { slotIsFree: true });
  expect(await person.submit(view)).toMatchObject({ status: 'counted', late: true });
  expect(await world.count('tasks', { id: task, state: 5, filled: 1 })).toBe(1);
});

test('accept: a late answer is surplus when somebody else has the slot, and they finish undisturbed', async () => {
  const { person, view, other, held } = await lateComer('accept', { slotIsFree: false });
  expect(await person.submit(view)).toMatchObject({ status: 'surplus', late: true });
  if (held) expect(await other.submit(held)).toMatchObject({ status: 'counted', late: false });
  expect(await world.count('annotations', { counted: true })).toBe(1);
});

test('accept: a late answer counts on a task that is held because that lease was its last attempt', async () => {
  const { person, view, task } = await lateComer('accept', { slotIsFree: true, maxAttempts: 1 });
  expect(await world.count('tasks', { id: task, state: 4 })).toBe(1);
  expect(await person.submit(view)).toMatchObject({ status: 'counted', late: true });
  expect(await world.count('tasks', { id: task, state: 5 })).toBe(1);
});

test('accept: of two late answers for one slot one counts', async () => {
  const project = await world.project({ heartbeatMs: 20_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const one = await node.arrive();
  const first = await one.take(project);
  await node.clock.advance(20_000);
  const two = await node.arrive();
  const second = await two.take(project);
  await node.clock.advance(20_000);
  const receipts = await Promise.all([one.submit(first), two.submit(second)]);
  expect(receipts.map((receipt) => receipt.status).sort()).toEqual(['counted', 'surplus']);
});

test('surplus: a late answer never counts, and its author does not get the task again', async () => {
  for (const slotIsFree of [true, false]) {
    const { project, node, person, view } = await lateComer('surplus', { slotIsFree });
    expect(await person.submit(view)).toMatchObject({ status: 'surplus', late: true });
    await person.wait(project);
    await node.engine.stop();
  }
});

test('refuse: a late answer is refused and kept as a draft, which its author finds again (I10)', async () => {
  const { project, person, view } = await lateComer('refuse', { slotIsFree: true });
  expect(codeOf(await person.trySubmit(view, { result: { label: 'late' } }))).toBe('lease_ended');
  expect(await draftOf(person.id)).toEqual({ label: 'late' });
  const again = await person.take(project);
  expect(again.draft).toEqual({ label: 'late' });
  await person.submit(again);
  expect(await draftOf(person.id)).toBeUndefined();
});

test('refuse: a late answer does not replace the draft of the lease its author holds now', async () => {
  const { project, person, view } = await lateComer('refuse', { slotIsFree: true });
  const again = await person.take(project);
  await person.draft(again, { label: 'newer' });
  expect(codeOf(await person.trySubmit(view, { result: { label: 'late' } }))).toBe('lease_ended');
  expect(await draftOf(person.id)).toEqual({ label: 'newer' });
  await person.submit(again);
  expect(codeOf(await person.trySubmit(view, { result: { label: 'late' } }))).toBe('lease_ended');
  expect(await draftOf(person.id)).toBeUndefined();
});

test('refuse: with the slot taken the draft is kept all the same, and nobody else sees it', async () => {
  const { person, view, other } = await lateComer('refuse', { slotIsFree: false });
  expect(codeOf(await person.trySubmit(view, { result: { label: 'late' } }))).toBe('lease_ended');
  expect(await draftOf(person.id)).toEqual({ label: 'late' });
  expect((await other.state()).assignments.map((lease) => lease.draft)).toEqual([undefined]);
});

test('what was skipped, given back or taken back is not made up for by any policy', async () => {
  const project = await world.project({ lateSubmit: 'accept', overlap: 3 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const skipper = await node.arrive();
  const skipped = await skipper.take(project);
  await skipper.skip(skipped);
  const releaser = await node.arrive();
  const released = await releaser.take(project);
  await releaser.release(released);
  const unlucky = await node.arrive();
  const revoked = await unlucky.take(project);
  granted(await node.engine.control.revoke(revoked.ref, 'sup'));
  expect(codeOf(await skipper.trySubmit(skipped))).toBe('lease_ended');
  expect(codeOf(await releaser.trySubmit(released))).toBe('lease_ended');
  expect(codeOf(await unlucky.trySubmit(revoked))).toBe('lease_ended');
  expect(await world.count('annotations', {})).toBe(0);
});

test('a late answer for a task its author holds again does not count beside the new lease', async () => {
  const { project, person, view } = await lateComer('accept', { slotIsFree: true });
  const again = await person.take(project);
  expect(codeOf(await person.trySubmit(view))).toBe('lease_ended');
  expect(await person.submit(again)).toMatchObject({ status: 'counted', late: false });
  expect(await world.count('annotations', {})).toBe(1);
});

test('a draft outlives its lease, sealed from others, and comes back with the next lease of its author (I10)', async () => {
  const project = await world.project({ heartbeatMs: 20_000 });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const author = await node.arrive();
  await author.draft(await author.take(project), { text: 'half' });
  await node.clock.advance(20_000);
  const other = await node.arrive();
  const lease = await other.take(project);
  expect(lease.draft).toBeUndefined();
  await other.release(lease);
  await node.engine.stop();
  const again = author.at(await world.engine());
  await again.connect();
  expect((await again.take(project)).draft).toEqual({ text: 'half' });
});

test('an answer that does not fit the schema leaves the lease and the draft as they were', async () => {
  const project = await world.project({
    resultSchema: { type: 'object', required: ['label'], properties: { label: { enum: ['cat', 'dog'] } } },
  });
  await world.tasks(project, [{}]);
  const node = await world.engine();
  const person = await node.arrive();
  const view = await person.take(project);
  await person.draft(view, { label: 'c' });
  const refused = await person.trySubmit(view, { result: { label: 'cow' } });
  expect(refused).toMatchObject({ ok: false, code: 'invalid_result', details: [{ path: '/label' }] });
  expect((await person.state()).assignments).toMatchObject([{ draft: { label: 'c' } }]);
  await person.submit(view, { result: { label: 'dog' } });
  expect(await draftOf(person.id)).toBeUndefined();
});
