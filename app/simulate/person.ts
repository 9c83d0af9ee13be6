import { fitLogNormal, MEASURED, sampleGap, sampleLogNormal } from './distributions.ts';
import type { Random } from './random.ts';

/**
 * One simulated person, as a pure state machine: no clock, no socket, no chance but what is handed in. The driver
 * (annotator.ts) carries the commands out and reports back what came of them.
 *
 * P1. At most one timer: `wake` replaces the one before, and leaving a state by another way makes it void.
 * P2. Human time runs `speed` times faster than the clock; a lost connection is measured in the server's own time,
 *     because the leases it puts to the test are.
 */
export interface Person {
  readonly at: 'away' | 'seeking' | 'working' | 'cut' | 'gone';
  /** In human milliseconds since the simulation began. */
  readonly sessionEndsMs: number;
  /** What is left to do on the task in hand. */
  readonly plan: readonly Step[];
}

/** One thing to do, and how long it takes to get to it, in human milliseconds unless it says otherwise. */
export type Step =
  | { readonly does: 'draft' | 'submit' | 'skip' | 'release' | 'walkAway'; readonly afterMs: number }
  | { readonly does: 'drop'; readonly afterMs: number; readonly serverMs: number };

export type Input =
  /** The timer has run out. */
  | { readonly type: 'woke' }
  /** A task is in hand. `skips`: this person has nothing to say to it. */
  | { readonly type: 'given'; readonly thinkMs?: number | undefined; readonly skips: boolean }
  /** Back after a lost connection, and the task in hand is still ours. */
  | { readonly type: 'resumed' }
  /** The task in hand is gone: submitted, given back or taken away. Nothing else came instead. */
  | { readonly type: 'emptied' }
  /** The server will have nothing more of this person's. */
  | { readonly type: 'refused' };

export type Command =
  | { readonly does: 'connect' | 'disconnect' | 'seek' | 'draft' | 'skip' | 'release' }
  /** `next`: ask for the next task in the same message. */
  | { readonly does: 'submit'; readonly next: boolean }
  | { readonly does: 'wake'; readonly afterMs: number; readonly in: 'human' | 'server' };

/** How likely a person does something with one task. What remains of 1 is answering it in one go. */
export interface Habits {
  readonly skip: number;
  readonly release: number;
  /** The connection is lost, and back in time. */
  readonly dropShort: number;
  /** The connection is lost for longer than the lease lives. */
  readonly dropLong: number;
  /** The session ends in the middle of a task, without a word. */
  readonly walkAway: number;
  /** How often an answer is written down before it is handed in. */
  readonly draft: number;
}

export const HABITS: Habits = {
  skip: 0.02,
  release: 0.01,
  dropShort: 0.02,
  dropLong: 0.005,
  walkAway: 0.005,
  draft: 0.3,
};

/** Nobody skips, gives back, walks away or loses the connection. */
export const STEADY_HABITS: Habits = {
  skip: 0,
  release: 0,
  dropShort: 0,
  dropLong: 0,
  walkAway: 0,
  draft: HABITS.draft,
};

export interface Surroundings {
  /** Human milliseconds since the simulation began. */
  readonly nowMs: number;
  readonly random: Random;
  readonly habits: Habits;
  /** How long a lease outlives its holder's connection, in the server's milliseconds. */
  readonly graceMs: number;
}

export interface Turn {
  readonly person: Person;
  readonly commands: readonly Command[];
}

const THINKING = fitLogNormal(MEASURED.glance);
const SESSION = fitLogNormal(MEASURED.session);
/** How long people stay away between two sessions, on average. Not measured; set. */
const BREAK_MS_MEAN = 20 * 60_000;
/** A grace of nothing still takes a moment to run out. */
const GRACE_MS_MIN = 500;

/** A person who comes for the first time after `arrivesAfterMs`. */
export function expectPerson(arrivesAfterMs: number): Turn {
  return away(arrivesAfterMs);
}

export function step(person: Person, input: Input, around: Surroundings): Turn {
  switch (input.type) {
    case 'woke':
      return woke(person, around);
    case 'given':
      return person.at === 'away' || person.at === 'gone' ? stay(person) : take(person, input, around);
    case 'resumed':
      return goOn(person, person.plan);
    case 'emptied':
      return person.at === 'working' || person.at === 'cut' ? seek(person, around) : stay(person);
    case 'refused':
      return { person: { ...person, at: 'gone', plan: [] }, commands: [{ does: 'disconnect' }] };
  }
}

function woke(person: Person, around: Surroundings): Turn {
  switch (person.at) {
    case 'away': {
      const sessionEndsMs = around.nowMs + sampleLogNormal(SESSION, around.random);
      return seek({ ...person, sessionEndsMs }, around, { does: 'connect' });
    }
    case 'seeking':
      return leave(around);
    case 'working':
      return act(person, around);
    case 'cut':
      return { person, commands: [{ does: 'connect' }] };
    case 'gone':
      return stay(person);
  }
}

function take(person: Person, task: Extract<Input, { type: 'given' }>, around: Surroundings): Turn {
  const thinkMs = task.thinkMs ?? sampleLogNormal(THINKING, around.random);
  return goOn(person, task.skips ? skipAfter(thinkMs) : planFor(thinkMs, around));
}

/** Does the next step, and sets out for the one after it. */
function act(person: Person, around: Surroundings): Turn {
  const [now, ...later] = person.plan;
  switch (now?.does) {
    case undefined:
      return seek(person, around);
    case 'draft': {
      const { person: next, commands } = goOn(person, later);
      return { person: next, commands: [{ does: 'draft' }, ...commands] };
    }
    case 'submit':
      return {
        person: { ...person, plan: [] },
        commands: [{ does: 'submit', next: around.nowMs < person.sessionEndsMs }],
      };
    case 'skip':
    case 'release':
      return { person: { ...person, plan: [] }, commands: [{ does: now.does }] };
    case 'walkAway':
      return leave(around);
    case 'drop':
      return {
        person: { ...person, at: 'cut', plan: later },
        commands: [{ does: 'disconnect' }, { does: 'wake', afterMs: now.serverMs, in: 'server' }],
      };
  }
}

/** Looks for work until the session is over, or goes if it is over already. */
function seek(person: Person, around: Surroundings, first: Command = { does: 'seek' }): Turn {
  const leftMs = person.sessionEndsMs - around.nowMs;
  if (leftMs <= 0) return leave(around);
  return {
    person: { ...person, at: 'seeking', plan: [] },
    commands: [first, { does: 'wake', afterMs: leftMs, in: 'human' }],
  };
}

function leave(around: Surroundings): Turn {
  const { person, commands } = away(sampleGap(BREAK_MS_MEAN, around.random));
  return { person, commands: [{ does: 'disconnect' }, ...commands] };
}

function away(forMs: number): Turn {
  return {
    person: { at: 'away', sessionEndsMs: 0, plan: [] },
    commands: [{ does: 'wake', afterMs: forMs, in: 'human' }],
  };
}

function goOn(person: Person, plan: readonly Step[]): Turn {
  return {
    person: { ...person, at: 'working', plan },
    commands: [{ does: 'wake', afterMs: plan[0]?.afterMs ?? 0, in: 'human' }],
  };
}

function stay(person: Person): Turn {
  return { person, commands: [] };
}

function skipAfter(thinkMs: number): Step[] {
  return [{ does: 'skip', afterMs: thinkMs * 0.3 }];
}

/** What happens with one task: `thinkMs` in all, if nothing comes in between. */
export function planFor(
  thinkMs: number,
  { random, habits, graceMs }: Pick<Surroundings, 'random' | 'habits' | 'graceMs'>,
): Step[] {
  const fate = fateOf(random.uniform(), habits);
  const draftsFirst = random.chance(habits.draft);
  const half = { afterMs: thinkMs / 2 } as const;
  const begin: Step[] = draftsFirst ? [{ does: 'draft', ...half }] : [];
  const rest = draftsFirst ? half : { afterMs: thinkMs };
  const grace = Math.max(graceMs, GRACE_MS_MIN);
  switch (fate) {
    case 'skip':
      return skipAfter(thinkMs);
    case 'release':
      return [...begin, { does: 'release', ...rest }];
    case 'walkAway':
      return [
        { does: 'draft', ...half },
        { does: 'walkAway', afterMs: 0 },
      ];
    case 'dropShort':
      return [
        ...begin,
        { does: 'drop', afterMs: 0, serverMs: random.between(0.1, 0.6) * grace },
        { does: 'submit', ...rest },
      ];
    case 'dropLong':
      return [
        ...begin,
        { does: 'drop', afterMs: 0, serverMs: random.between(1.5, 3) * grace },
        { does: 'submit', ...rest },
      ];
    case 'submit':
      return [...begin, { does: 'submit', ...rest }];
  }
}

type Fate = 'submit' | 'skip' | 'release' | 'walkAway' | 'dropShort' | 'dropLong';

function fateOf(uniform: number, habits: Habits): Fate {
  let below = 0;
  for (const fate of ['skip', 'release', 'walkAway', 'dropShort', 'dropLong'] as const) {
    below += habits[fate];
    if (uniform < below) return fate;
  }
  return 'submit';
}
