import { setTimeout as delay } from 'node:timers/promises';
import type { AnnotatorId } from '../../engine/ids.ts';
import { distribution } from '../measure.ts';
import { addAnnotators, addProject, addTasks, settleTables, withDatabase } from '../population.ts';
import type { BenchContext, SuiteReport } from '../suite.ts';
import { type BenchNode, type ClusterAddress, ownersOf, startNode, until } from './nodes.ts';

const PROJECTS = 8;
/** Leases that are open all the while: whoever takes a shard reads them. */
const HOLDERS = 400;
const TAKEOVER_MS_MAX = 5_000;
const HAND_OVER_MS_MAX = 1_000;
const CALM_MS = 500;
const DATABASE = 'bench_moves';

type Way = 'killed' | 'stopped';

interface Scene {
  readonly at: ClusterAddress;
  readonly gateway: BenchNode;
  readonly seats: readonly { project: string; annotatorId: AnnotatorId }[];
  engines: BenchNode[];
  started: number;
}

/** How long somebody who works at a shard waits when its engine is killed, and when it is stopped. */
export async function measureMoves(
  context: BenchContext,
  redisUrl: string,
): Promise<Pick<SuiteReport, 'tables' | 'goals' | 'notes'>> {
  const { cluster, quick, say } = context;
  const repeats = quick ? 1 : 6;
  const scene = await setScene({ databaseUrl: await cluster.createDatabase(DATABASE), redisUrl });
  const waits = new Map<Way, number[]>([
    ['killed', []],
    ['stopped', []],
  ]);
  try {
    for (let i = 1; i <= repeats; i += 1) {
      for (const [way, all] of waits) {
        all.push(...(await move(scene, way)));
        say(`${way} ${i} of ${repeats}: ${Math.round(Math.max(...all))} ms at most so far`);
      }
    }
  } finally {
    for (const { child } of [scene.gateway, ...scene.engines]) await child.stop();
    await cluster.dropDatabase(DATABASE);
  }
  const [takeover, handOver] = (['killed', 'stopped'] as const).map((way) =>
    distribution(waits.get(way) ?? []),
  );
  if (takeover === undefined || handOver === undefined) throw new Error('there are two ways to go');
  return {
    tables: [
      {
        title: `Longest wait of one message, for each shard that changed hands; ${HOLDERS} open leases`,
        rows: [
          { engine: 'kill -9', ...takeover },
          { engine: 'graceful stop', ...handOver },
        ],
      },
    ],
    goals: [
      { name: 'takeover', value: takeover.max, bound: 'at most', limit: TAKEOVER_MS_MAX, unit: 'ms' },
      { name: 'hand-over', value: handOver.max, bound: 'at most', limit: HAND_OVER_MS_MAX, unit: 'ms' },
    ],
    notes: [
      'Takeover and hand-over: a submit and the request after it, from the first try to the answer, at a gateway of another process, without sockets.',
    ],
  };
}

async function setScene(at: ClusterAddress): Promise<Scene> {
  const slugs = Array.from({ length: PROJECTS }, (_, i) => `moves-${i}`);
  const people = await withDatabase(at.databaseUrl, async (db) => {
    for (const slug of slugs) await addTasks(db, await addProject(db, slug), { count: 100_000 });
    const ids = await addAnnotators(db, { count: HOLDERS + PROJECTS });
    await settleTables(db);
    return ids;
  });
  const engines = [await startNode(at, 'engine-1', ['engine']), await startNode(at, 'engine-2', ['engine'])];
  const gateway = await startNode(at, 'gateway', ['gateway']);
  const each = HOLDERS / PROJECTS;
  for (const [i, project] of slugs.entries())
    await gateway.child.ask({ gather: { project, annotatorIds: people.slice(i * each, (i + 1) * each) } });
  const seats = slugs.flatMap((project, i) => {
    const annotatorId = people[HOLDERS + i];
    return annotatorId === undefined ? [] : [{ project, annotatorId }];
  });
  return { at, gateway, seats, engines, started: engines.length };
}

/** One engine goes, and another comes in its place. @returns the longest waits at the shards that it had, in ms. */
async function move(scene: Scene, way: Way): Promise<number[]> {
  const { at, gateway, seats } = scene;
  const [going, staying] = scene.engines;
  if (going === undefined || staying === undefined) throw new RangeError('two engines are needed');
  let had: string[] = [];
  await until('shards at the engine that goes', async () => {
    const owners = await ownersOf(at.databaseUrl);
    had = [...owners].filter(([, name]) => name === going.name).map(([slug]) => slug);
    return had.length > 0 && owners.size === PROJECTS;
  });
  const ms = way === 'killed' ? 2 * TAKEOVER_MS_MAX : 3 * HAND_OVER_MS_MAX;
  const leave = async (): Promise<void> => {
    await delay(CALM_MS);
    if (way === 'killed') await going.child.kill();
    else await going.child.ask({ leave: true });
  };
  const [{ longestMs = {} }] = await Promise.all([gateway.child.ask({ probe: { ms, seats } }), leave()]);
  if (way === 'stopped') await going.child.stop();
  scene.started += 1;
  scene.engines = [staying, await startNode(at, `engine-${scene.started}`, ['engine'])];
  return had.map((slug) => longestMs[slug] ?? Number.NaN);
}
