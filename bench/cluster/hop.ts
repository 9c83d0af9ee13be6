import type { TestRedis } from '../../test/support/redis.ts';
import { processCpuMs } from '../cpu.ts';
import { median } from '../measure.ts';
import { addAnnotators, addProject, addTasks, settleTables, withDatabase } from '../population.ts';
import type { BenchContext, SuiteReport } from '../suite.ts';
import { type BenchNode, cpuMsOf, startNode } from './nodes.ts';

const ANNOTATORS = 100;
const CYCLES_PER_SECOND_MAX = 20_000;

interface Place {
  readonly what: string;
  /** Where the people are. */
  readonly gateway: BenchNode;
  readonly nodes: readonly BenchNode[];
}

interface Measured {
  readonly cyclesPerSecond: number;
  readonly nodeUs: number;
  readonly redisUs: number;
  readonly grantP50: number;
  readonly grantP99: number;
}

/** The same work at a whole node, and at a gateway whose engine is another process: what the way over Redis costs. */
export async function measureHop(
  context: BenchContext,
  redis: TestRedis,
): Promise<Pick<SuiteReport, 'tables' | 'notes'>> {
  const { cluster, quick, say } = context;
  const plan = quick
    ? { rounds: 2, windowMs: 1_000, grants: 50 }
    : { rounds: 7, windowMs: 4_000, grants: 300 };
  const tasks = (CYCLES_PER_SECOND_MAX * plan.windowMs * (plan.rounds + 1)) / 1_000;
  const measured = new Map<string, Measured[]>();
  const places: Place[] = [];
  try {
    for (const what of ['same process', 'over Redis']) {
      const databaseUrl = await cluster.createDatabase(nameOf(what));
      places.push(await makePlace(what, { databaseUrl, redisUrl: redis.url }, tasks));
    }
    for (const place of places) await measure(place, plan, redis.pid());
    await cluster.checkpoint();
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const place of places) {
        const windows = measured.get(place.what) ?? [];
        measured.set(place.what, windows);
        windows.push(await measure(place, plan, redis.pid()));
      }
      say(`hop: round ${round + 1} of ${plan.rounds}`);
    }
  } finally {
    for (const { nodes } of places) for (const { child } of nodes) await child.stop();
    for (const { what } of places) await cluster.dropDatabase(nameOf(what));
  }
  return {
    tables: [
      {
        title: `An engine in the same process and over Redis, ${ANNOTATORS} annotators; medians of ${plan.rounds} rounds`,
        rows: [...measured].map(([engine, windows]) => ({
          engine,
          'cycles/s': median(windows.map((window) => window.cyclesPerSecond)),
          'Node us/cycle': median(windows.map((window) => window.nodeUs)),
          'Redis us/cycle': median(windows.map((window) => window.redisUs)),
          'lone grant p50 ms': median(windows.map((window) => window.grantP50)),
          'lone grant p99 ms': median(windows.map((window) => window.grantP99)),
        })),
      },
    ],
    notes: ['A cycle over Redis is one message there and one back; sockets are in neither figure.'],
  };
}

function nameOf(what: string): string {
  return `bench_${what.replaceAll(' ', '_').toLowerCase()}`;
}

async function makePlace(
  what: string,
  at: { databaseUrl: string; redisUrl: string },
  tasks: number,
): Promise<Place> {
  const annotatorIds = await withDatabase(at.databaseUrl, async (db) => {
    await addTasks(db, await addProject(db, 'hop'), { count: tasks });
    const ids = await addAnnotators(db, { count: ANNOTATORS });
    await settleTables(db);
    return ids;
  });
  const nodes =
    what === 'same process'
      ? [await startNode(at, 'whole', ['gateway', 'engine'])]
      : [await startNode(at, 'engine', ['engine']), await startNode(at, 'gateway', ['gateway'])];
  const gateway = nodes.at(-1);
  if (gateway === undefined) throw new RangeError('a place without a node');
  await gateway.child.ask({ gather: { project: 'hop', annotatorIds } });
  return { what, gateway, nodes };
}

async function measure(
  { gateway, nodes }: Place,
  plan: { windowMs: number; grants: number },
  redisPid: number,
): Promise<Measured> {
  const before = { nodesMs: cpuMsOf(nodes), redisMs: processCpuMs(redisPid) ?? 0 };
  const { cycles } = await gateway.child.ask({ workForMs: plan.windowMs });
  const after = { nodesMs: cpuMsOf(nodes), redisMs: processCpuMs(redisPid) ?? 0 };
  const { grantMs } = await gateway.child.ask({ grantsAlone: plan.grants });
  if (grantMs === undefined) throw new Error('a node did not time its grants');
  return {
    cyclesPerSecond: (cycles * 1_000) / plan.windowMs,
    nodeUs: ((after.nodesMs - before.nodesMs) * 1_000) / cycles,
    redisUs: ((after.redisMs - before.redisMs) * 1_000) / cycles,
    grantP50: grantMs.p50,
    grantP99: grantMs.p99,
  };
}
