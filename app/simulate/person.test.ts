import { expect, test } from 'vitest';
import {
  expectPerson,
  HABITS,
  type Habits,
  type Input,
  type Person,
  planFor,
  step,
  type Turn,
} from './person.ts';
import { randomStream } from './random.ts';

const NEVER: Habits = { skip: 0, release: 0, dropShort: 0, dropLong: 0, walkAway: 0, draft: 0 };

function around(habits: Partial<Habits> = {}, nowMs = 0) {
  return { nowMs, random: randomStream(1, 0), habits: { ...NEVER, ...habits }, graceMs: 1_000 };
}

/** Feeds the inputs one after another. @returns the last turn */
function live(inputs: readonly Input[], habits: Partial<Habits> = {}): Turn {
  const surroundings = around(habits);
  return inputs.reduce<Turn>((turn, input) => step(turn.person, input, surroundings), expectPerson(0));
}

const WOKE: Input = { type: 'woke' };
const GIVEN: Input = { type: 'given', thinkMs: 1_000, skips: false };

function doings(turn: Turn): string[] {
  return turn.commands.map((command) => command.does);
}

test('a person comes, connects, thinks, submits and asks for the next task in the same message', () => {
  expect(expectPerson(5)).toMatchObject({ person: { at: 'away' }, commands: [{ does: 'wake', afterMs: 5 }] });
  expect(doings(live([WOKE]))).toEqual(['connect', 'wake']);
  expect(live([WOKE, GIVEN]).commands).toEqual([{ does: 'wake', afterMs: 1_000, in: 'human' }]);
  expect(live([WOKE, GIVEN, WOKE]).commands).toEqual([{ does: 'submit', next: true }]);
  expect(live([WOKE, GIVEN, WOKE, GIVEN]).person.at).toBe('working');
});

test('with nothing to do the person waits until the session is over, and comes back another time', () => {
  const seeking = live([WOKE, GIVEN, WOKE, { type: 'emptied' }]);
  expect(seeking.person.at).toBe('seeking');
  expect(doings(seeking)).toEqual(['seek', 'wake']);
  const left = step(seeking.person, WOKE, around());
  expect(left.person.at).toBe('away');
  expect(doings(left)).toEqual(['disconnect', 'wake']);
});

test('after the end of the session the task in hand is finished, and no other is asked for', () => {
  const working = live([WOKE, GIVEN]);
  const late = around({}, working.person.sessionEndsMs + 1);
  const submitted = step(working.person, WOKE, late);
  expect(submitted.commands).toEqual([{ does: 'submit', next: false }]);
  expect(step(submitted.person, { type: 'emptied' }, late).person.at).toBe('away');
});

test('a task that the person has nothing to say to is skipped', () => {
  const turn = live([WOKE, { ...GIVEN, skips: true }, WOKE]);
  expect(turn.commands).toEqual([{ does: 'skip' }]);
});

test('a short cut is over before the grace is; the task goes on where it was', () => {
  const cut = live([WOKE, GIVEN, WOKE], { dropShort: 1 });
  expect(cut.person.at).toBe('cut');
  expect(doings(cut)).toEqual(['disconnect', 'wake']);
  const [, wake] = cut.commands;
  expect(wake).toMatchObject({ in: 'server' });
  expect(wake?.does === 'wake' && wake.afterMs < 1_000).toBe(true);
  const back = step(cut.person, WOKE, around());
  expect(doings(back)).toEqual(['connect']);
  const resumed = step(back.person, { type: 'resumed' }, around());
  expect(resumed.person.at).toBe('working');
  expect(step(resumed.person, WOKE, around()).commands).toMatchObject([{ does: 'submit' }]);
});

test('a long cut outlives the grace; whoever comes back to nothing looks for other work', () => {
  const cut = live([WOKE, GIVEN, WOKE], { dropLong: 1 });
  expect(cut.commands[1]?.does === 'wake' && cut.commands[1].afterMs > 1_000).toBe(true);
  expect(step(cut.person, { type: 'emptied' }, around()).person.at).toBe('seeking');
  expect(step(cut.person, GIVEN, around()).person).toMatchObject({ at: 'working' });
});

test('walking away says nothing to the server', () => {
  const turn = live([WOKE, GIVEN, WOKE, WOKE], { walkAway: 1 });
  expect(turn.person.at).toBe('away');
  expect(doings(turn)).toEqual(['disconnect', 'wake']);
});

test('a task taken away leaves the person looking for another, and one who is away does not care', () => {
  expect(live([WOKE, GIVEN, { type: 'emptied' }]).person.at).toBe('seeking');
  const awayTurn = step(expectPerson(0).person, { type: 'emptied' }, around());
  expect(awayTurn).toEqual({ person: expectPerson(0).person, commands: [] });
});

test('a refusal that nothing mends is the end', () => {
  const gone = live([WOKE, { type: 'refused' }]);
  expect(gone.person.at).toBe('gone');
  expect(step(gone.person, WOKE, around()).commands).toEqual([]);
});

test('plans take the time that was meant for thinking, and end the task in one way', () => {
  const random = randomStream(9, 0);
  for (let i = 0; i < 2_000; i++) {
    const plan = planFor(600, {
      random,
      habits: { ...HABITS, draft: 0.5, dropShort: 0.3, skip: 0 },
      graceMs: 100,
    });
    expect(plan.filter(({ does }) => ['submit', 'skip', 'release', 'walkAway'].includes(does))).toHaveLength(
      1,
    );
    if (plan.at(-1)?.does === 'submit') expect(plan.reduce((sum, { afterMs }) => sum + afterMs, 0)).toBe(600);
  }
});

test('people do what their habits say, as often as they say', () => {
  const random = randomStream(4, 0);
  const plans = Array.from({ length: 20_000 }, () => planFor(600, { random, habits: HABITS, graceMs: 100 }));
  const share = (does: string): number =>
    plans.filter((plan) => plan.some((entry) => entry.does === does)).length / plans.length;
  expect(share('skip')).toBeCloseTo(HABITS.skip, 2);
  expect(share('release')).toBeCloseTo(HABITS.release, 2);
  expect(share('drop')).toBeCloseTo(HABITS.dropShort + HABITS.dropLong, 2);
  expect(share('walkAway')).toBeCloseTo(HABITS.walkAway, 2);
});

test('a person is plain data: nothing of a turn is kept anywhere else', () => {
  const before: Person = Object.freeze({ at: 'seeking', sessionEndsMs: 10_000, plan: Object.freeze([]) });
  expect(() => step(before, GIVEN, around())).not.toThrow();
});
