import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { projectStats } from '../../protocol/api/index.ts';
import { type RemoteApi, RemoteFailure } from '../remote/api.ts';
import { UsageError } from '../usage-error.ts';
import { SimulatedAnnotator, type SimulationClock } from './annotator.ts';
import { type Answerer, chooseAnswerers } from './answerers.ts';
import { type CrewMember, signOff, signUp } from './crew.ts';
import type { Habits } from './person.ts';
import { randomStream } from './random.ts';
import type { Recording } from './replay.ts';
import { type Summary, Tally } from './tally.ts';

const LOOK_EVERY_MS = 1_000;
const MS_PER_MINUTE = 60_000;

const project = z.object({
  slug: z.string(),
  status: z.string(),
  settings: z.object({
    overlap: z.number(),
    reconnectGraceMs: z.number(),
    access: z.string(),
    resultSchema: z.unknown(),
  }),
});
type Project = z.output<typeof project>;
type Stats = z.output<typeof projectStats>;

export interface SimulationArgs {
  readonly api: RemoteApi;
  readonly project: string;
  /** How many people; of a recording, the first so many of its workers. Undefined: 20, or all of the recording. */
  readonly annotators: number | undefined;
  /** Human time per time on the wall. */
  readonly speed: number;
  /** New people per hour of human time; undefined: ten minutes until all are there, or as recorded. */
  readonly arrivalsPerHour: number | undefined;
  readonly seed: number;
  /** Minutes on the wall after which it ends in any case. */
  readonly minutesMax: number | undefined;
  readonly habits: Habits;
  readonly recording: Recording | undefined;
  /** Skip what was never judged, instead of making up an answer. */
  readonly strict: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: SimulationProgress) => void;
}

export interface SimulationProgress {
  /** Answers that count, and how many the tasks need if each has the project's overlap. */
  readonly done: number;
  readonly total: number;
  readonly working: number;
  readonly people: number;
  readonly tally: Tally;
}

/** Why it ended: `nothing_left`: what is not complete is not for any of these people. */
export type SimulationEnd = 'complete' | 'nothing_left' | 'time' | 'stopped';

export type SimulationSummary = Summary & {
  readonly ended: SimulationEnd;
  readonly project: string;
  readonly annotators: number;
  readonly seconds: number;
  readonly seed: number;
  readonly tasks: Stats['tasks'];
  /** Leases that ended by time or by silence while the simulation ran, as the server counts them. */
  readonly expired: number;
  readonly abandoned: number;
};

/**
 * Lets simulated people work in a project until it is done, nothing is left for them, time is up or the signal fires.
 *
 * @throws UsageError, RemoteFailure
 */
export async function simulate(args: SimulationArgs): Promise<SimulationSummary> {
  const found = await args.api.call('GET', `/api/projects/${encodeURIComponent(args.project)}`, project);
  if (found.status !== 'active')
    throw new UsageError(`the project ${found.slug} is ${found.status}: nobody can work in it`);
  const answerers = await chooseAnswerers({ ...args, slug: found.slug, schema: found.settings.resultSchema });
  const needsMembers = found.settings.access === 'members';
  const names = answerers.map(({ externalId }) => externalId);
  const crew = await signUp(args.api, names, { slug: found.slug, needsMembers });
  const before = await readStats(args.api, found.slug);
  const tally = new Tally();
  const beganMs = performance.now();
  const clock: SimulationClock = {
    speed: args.speed,
    nowMs: () => (performance.now() - beganMs) * args.speed,
  };
  const people = crew.map((member, index) =>
    makePerson({ args, found, clock, tally, member, index, answerers }),
  );
  for (const person of people) person.start();
  let ended: SimulationEnd;
  try {
    ended = await watch({ args, found, people, clock, tally });
  } finally {
    await Promise.all(people.map((person) => person.stop()));
    await signOff(args.api, crew);
  }
  const after = await readStats(args.api, found.slug);
  return {
    ended,
    project: found.slug,
    annotators: people.length,
    seconds: Math.round((performance.now() - beganMs) / 100) / 10,
    seed: args.seed,
    tasks: after.tasks,
    expired: after.ended.expired - before.ended.expired,
    abandoned: after.ended.abandoned - before.ended.abandoned,
    ...tally.summary(),
  };
}

function makePerson(made: {
  args: SimulationArgs;
  found: Project;
  clock: SimulationClock;
  tally: Tally;
  member: CrewMember;
  index: number;
  answerers: readonly Answerer[];
}): SimulatedAnnotator {
  const { args, found, clock, tally, member, index, answerers } = made;
  const answerer = answerers[index];
  if (answerer === undefined) throw new Error(`there is nobody number ${index}`);
  return new SimulatedAnnotator({
    url: args.api.url,
    token: member.token,
    project: found.slug,
    arrivesAfterMs: answerer.arrivesAfterMs,
    answers: answerer.answers,
    random: randomStream(args.seed, 2 * index + 1),
    // Who has an answer on record did not skip.
    habits: args.recording === undefined ? args.habits : { ...args.habits, skip: 0 },
    graceMs: found.settings.reconnectGraceMs,
    clock,
    tally,
  });
}

async function watch(watched: {
  args: SimulationArgs;
  found: Project;
  people: readonly SimulatedAnnotator[];
  clock: SimulationClock;
  tally: Tally;
}): Promise<SimulationEnd> {
  const { args, found, people, clock, tally } = watched;
  const endMs =
    args.minutesMax === undefined
      ? Number.POSITIVE_INFINITY
      : performance.now() + args.minutesMax * MS_PER_MINUTE;
  let lastActiveMs = 0;
  let submitted = -1;
  while (!args.signal.aborted) {
    const stats = await statsOrNothing(args.api, found.slug, tally);
    if (stats !== undefined) {
      const { total, waiting, cancelled } = stats.tasks;
      const working = people.filter(({ at }) => at === 'working').length;
      const needed = found.settings.overlap * (total - cancelled);
      const done = Math.min(stats.answers.submitted, needed);
      args.onProgress({ done, total: needed, working, people: people.length, tally });
      if (waiting === 0) return 'complete';
      if (stats.live.leased > 0 || stats.answers.submitted !== submitted) lastActiveMs = clock.nowMs();
      else if (people.every((person) => person.hasNothingSince(lastActiveMs))) return 'nothing_left';
      submitted = stats.answers.submitted;
    }
    if (performance.now() >= endMs) return 'time';
    const waitMs = Math.min(LOOK_EVERY_MS, endMs - performance.now());
    await delay(waitMs, undefined, { signal: args.signal }).catch(() => undefined);
  }
  return 'stopped';
}

/** A server that is away comes back, or time runs out: the people go on trying, and so does this. */
async function statsOrNothing(api: RemoteApi, slug: string, tally: Tally): Promise<Stats | undefined> {
  try {
    return await readStats(api, slug);
  } catch (error) {
    if (!(error instanceof RemoteFailure)) throw error;
    tally.error(error.code);
    return undefined;
  }
}

function readStats(api: RemoteApi, slug: string): Promise<Stats> {
  return api.call('GET', `/api/projects/${encodeURIComponent(slug)}/stats`, projectStats);
}
