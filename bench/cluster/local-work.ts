import { cpuTime } from '../cpu.ts';
import { median } from '../measure.ts';
import { addAnnotators, addProject, addTasks, settleTables, withDatabase } from '../population.ts';
import type { BenchContext, SuiteReport } from '../suite.ts';
import { type BenchNode, type ClusterAddress, cpuMsOf, ownersOf, startNode, until } from './nodes.ts';

const SIZES = [1, 2, 4] as const;
/** People at each node. */
const ANNOTATORS = 100;
/** Enough for a machine several times faster than the one this was written on. */
const CYCLES_PER_SECOND_MAX = 20_000;
const RATIO_MAX = 1.3;

interface Group {
  readonly size: number;
  readonly nodes: readonly BenchNode[];
}

interface Measured {
  readonly cyclesPerSecond: number;
  readonly nodeUs: number;
  readonly postgresUs: number | null;
}

/** The cost of a cycle with all work local, on one node, two and four: whole nodes, each with people at its own shard. */
export async function measureLocalWork(
  context: BenchContext,
  redisUrl: string,
): Promise<Pick<SuiteReport, 'tables' | 'goals'>> {
  const { cluster, quick, say } = context;
  const plan = quick ? { rounds: 2, windowMs: 1_000 } : { rounds: 7, windowMs: 4_000 };
  const tasks = (CYCLES_PER_SECOND_MAX * plan.windowMs * (plan.rounds + 1)) / 1_000;
  const groups: Group[] = [];
  const measured = new Map<number, Measured[]>(SIZES.map((size) => [size, []]));
  try {
    for (const size of SIZES) {
      say(`${size} nodes, ${ANNOTATORS} annotators at each`);
      const databaseUrl = await cluster.createDatabase(`bench_nodes_${size}`);
      groups.push(await makeGroup({ databaseUrl, redisUrl }, size, Math.ceil(tasks / size)));
    }
    for (const group of groups) await workFor(context, group, plan.windowMs);
    await cluster.checkpoint();
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const group of groups)
        measured.get(group.size)?.push(await workFor(context, group, plan.windowMs));
      say(`round ${round + 1} of ${plan.rounds}`);
    }
  } finally {
    for (const { nodes } of groups) for (const { child } of nodes) await child.stop();
    for (const { size } of groups) await cluster.dropDatabase(`bench_nodes_${size}`);
  }
  return report(measured, plan.rounds);
}

/** Nodes that own one project's shard each, and have the people who work there. */
async function makeGroup(at: ClusterAddress, size: number, tasks: number): Promise<Group> {
  const { slugs, annotatorIds } = await withDatabase(at.databaseUrl, async (db) => {
    const slugs = Array.from({ length: size }, (_, i) => `local-${i}`);
    for (const slug of slugs) await addTasks(db, await addProject(db, slug), { count: tasks });
    const annotatorIds = await addAnnotators(db, { count: size * ANNOTATORS + 1 });
    await settleTables(db);
    return { slugs, annotatorIds };
  });
  const nodes: BenchNode[] = [];
  for (let i = 0; i < size; i += 1) nodes.push(await startNode(at, `node-${i}`, ['gateway', 'engine']));
  const [first] = nodes;
  const scout = annotatorIds.at(-1);
  if (first === undefined || scout === undefined) throw new RangeError('a cluster of no nodes');
  // Whoever asks first brings each shard to the node that is to have it.
  const seats = slugs.map((project) => ({ project, annotatorId: scout }));
  for (const seat of seats) await first.child.ask({ probe: { ms: 1, seats: [seat] } });
  const owners = new Map<string, string>();
  await until('a shard for each node', async () => {
    for (const [slug, name] of await ownersOf(at.databaseUrl)) owners.set(name, slug);
    return owners.size === size;
  });
  await Promise.all(
    nodes.map(({ name, child }, i) => {
      const mine = annotatorIds.slice(i * ANNOTATORS, (i + 1) * ANNOTATORS);
      return child.ask({ gather: { project: owners.get(name) ?? '', annotatorIds: mine } });
    }),
  );
  return { size, nodes };
}

async function workFor({ cluster }: BenchContext, { nodes }: Group, ms: number): Promise<Measured> {
  const before = { nodesMs: cpuMsOf(nodes), postgresMs: cpuTime(cluster.pid).postgresMs };
  const answers = await Promise.all(nodes.map(({ child }) => child.ask({ workForMs: ms })));
  const after = { nodesMs: cpuMsOf(nodes), postgresMs: cpuTime(cluster.pid).postgresMs };
  const cycles = answers.reduce((sum, one) => sum + one.cycles, 0);
  const isKnown = before.postgresMs !== undefined && after.postgresMs !== undefined;
  return {
    cyclesPerSecond: (cycles * 1_000) / ms,
    nodeUs: ((after.nodesMs - before.nodesMs) * 1_000) / cycles,
    postgresUs: isKnown ? (((after.postgresMs ?? 0) - (before.postgresMs ?? 0)) * 1_000) / cycles : null,
  };
}

function report(
  measured: ReadonlyMap<number, readonly Measured[]>,
  rounds: number,
): Pick<SuiteReport, 'tables' | 'goals'> {
  const one = measured.get(1) ?? [];
  const ratiosOf = (windows: readonly Measured[]): number[] =>
    windows.map((window, round) => window.nodeUs / (one[round]?.nodeUs ?? Number.NaN));
  const rows = [...measured].map(([nodes, windows]) => ({
    nodes,
    'cycles/s': median(windows.map((window) => window.cyclesPerSecond)),
    'Node us/cycle': median(windows.map((window) => window.nodeUs)),
    'Postgres us/cycle': median(windows.map((window) => window.postgresUs ?? 0)),
    'to one node': median(ratiosOf(windows)),
    from: Math.min(...ratiosOf(windows)),
    to: Math.max(...ratiosOf(windows)),
  }));
  return {
    tables: [
      {
        title: `Local work, ${ANNOTATORS} annotators at each node, all nodes together; medians of ${rounds} rounds`,
        rows,
      },
    ],
    goals: rows.slice(1).map((row) => ({
      name: `CPU of a cycle on ${row.nodes} nodes, to one`,
      value: row['to one node'],
      bound: 'at most' as const,
      limit: RATIO_MAX,
      unit: '',
    })),
  };
}
