import { cpuPerCycle, cpuTime } from '../cpu.ts';
import { Crowd } from '../crowd.ts';
import { type EngineNode, startEngineNode } from '../engine-node.ts';
import { distribution, median } from '../measure.ts';
import {
  addAnnotators,
  addAnswers,
  addProject,
  addTasks,
  settleTables,
  withDatabase,
} from '../population.ts';
import type { BenchContext, Suite, SuiteReport } from '../suite.ts';

const OVERLAP = 3;
/** Leases that the one annotator holds at a time: enough that commits are shared, as on a busy day. */
const HELD = 32;

interface Cell {
  readonly tasks: number;
  readonly done: number;
}

interface Prepared extends Cell {
  readonly database: string;
  readonly node: EngineNode;
  readonly crowd: Crowd;
  /** From a cold engine to the first leases, all of them, in ms. */
  readonly firstMs: number;
}

interface Round {
  readonly cyclesPerSecond: number;
  readonly nodeUs: number;
  readonly postgresUs: number | null;
  readonly grantMs: readonly number[];
  readonly queueReads: number;
}

interface Plan {
  readonly cells: readonly Cell[];
  readonly rounds: number;
  readonly cyclesPerRound: number;
  readonly grantsPerRound: number;
  readonly warmUpCycles: number;
}

export const pickingSuite: Suite = {
  name: 'picking',
  about: 'whether a pick stays as fast in a large project, and for an annotator who has done much of it',
  run,
};

/**
 * One annotator picks. What they have answered stays in the queue, since others shall answer it too, and in front of
 * everything else, since started tasks go first: every pick has to get past all of it. The smallest project is not used up
 * by the cycles of a run.
 */
function planOf(quick: boolean): Plan {
  const sizes = quick ? [5_000, 50_000] : [10_000, 100_000, 1_000_000];
  const done = quick ? [0, 5_000] : [0, 10_000, 50_000];
  return {
    cells: sizes.flatMap((tasks) => done.map((count) => ({ tasks, done: count }))),
    ...(quick
      ? { rounds: 3, cyclesPerRound: 600, grantsPerRound: 40, warmUpCycles: 600 }
      : { rounds: 7, cyclesPerRound: 1_000, grantsPerRound: 60, warmUpCycles: 1_500 }),
  };
}

async function run(context: BenchContext): Promise<SuiteReport> {
  const plan = planOf(context.quick);
  const prepared: Prepared[] = [];
  try {
    for (const cell of plan.cells) prepared.push(await prepare(context, cell));
    context.say('warming up');
    for (const { crowd, node } of prepared) {
      await crowd.workThrough(plan.warmUpCycles);
      node.takeActivity();
    }
    await context.cluster.checkpoint();
    const rounds = new Map<Prepared, Round[]>(prepared.map((cell) => [cell, []]));
    for (let i = 1; i <= plan.rounds; i += 1) {
      // Every cell in every round, in turns forwards and backwards: the machine's moods fall on all alike.
      for (const cell of i % 2 === 0 ? [...prepared].reverse() : prepared) {
        rounds.get(cell)?.push(await measure(context, cell, plan));
      }
      context.say(`round ${i} of ${plan.rounds}`);
    }
    return report(rounds, plan);
  } finally {
    for (const { node, database } of prepared) {
      await node.stop();
      await context.cluster.dropDatabase(database);
    }
  }
}

/** Each cell has a database of its own, so that its indexes are as deep as its project and no deeper. */
async function prepare({ cluster, say }: BenchContext, cell: Cell): Promise<Prepared> {
  const database = `bench_picking_${cell.tasks}_${cell.done}`;
  say(`${cell.tasks.toLocaleString('en-US')} tasks, and ${cell.done.toLocaleString('en-US')} done`);
  const url = await cluster.createDatabase(database);
  const { project, annotatorId } = await withDatabase(url, async (db) => {
    const made = await addProject(db, 'picking', { overlap: OVERLAP });
    const [id] = await addAnnotators(db, { count: 1, capacity: HELD });
    if (id === undefined) throw new Error('no annotator was made');
    const firstTask = await addTasks(db, made, {
      count: cell.tasks + cell.done,
      overlap: OVERLAP,
      dataBytes: 100,
    });
    if (cell.done > 0) await addAnswers(db, made, { annotatorId: id, firstTask, count: cell.done });
    await settleTables(db);
    return { project: made, annotatorId: id };
  });
  const node = await startEngineNode(url);
  const startedMs = performance.now();
  const crowd = await Crowd.gather({
    work: node.engine.work,
    project: project.slug,
    annotatorIds: Array.from({ length: HELD }, () => annotatorId),
  });
  return { ...cell, database, node, crowd, firstMs: performance.now() - startedMs };
}

async function measure({ cluster }: BenchContext, cell: Prepared, plan: Plan): Promise<Round> {
  cell.node.takeActivity();
  const before = cpuTime(cluster.pid);
  const window = await cell.crowd.workThrough(plan.cyclesPerRound);
  const cpu = cpuPerCycle(before, cpuTime(cluster.pid), window.cycles);
  const { queueReads } = cell.node.takeActivity();
  return {
    cyclesPerSecond: (window.cycles * 1_000) / window.elapsedMs,
    nodeUs: cpu.node,
    postgresUs: cpu.postgres,
    grantMs: await cell.crowd.grantsAlone(plan.grantsPerRound),
    queueReads,
  };
}

function report(rounds: ReadonlyMap<Prepared, readonly Round[]>, plan: Plan): SuiteReport {
  const cells = [...rounds].map(([cell, measured]) => {
    const postgres = measured.map((round) => round.postgresUs).filter((us) => us !== null);
    const grant = distribution(measured.flatMap((round) => [...round.grantMs]));
    return {
      'tasks queued': cell.tasks,
      'done by the annotator': cell.done,
      'cycles/s': median(measured.map((round) => round.cyclesPerSecond)),
      'Node us/cycle': median(measured.map((round) => round.nodeUs)),
      'Postgres us/cycle': postgres.length === 0 ? null : median(postgres),
      'lone grant p50 ms': grant.p50,
      'lone grant p99 ms': grant.p99,
      'queue reads': measured.reduce((sum, round) => sum + round.queueReads, 0),
      'first leases ms': cell.firstMs,
    };
  });
  const spread = (column: 'cycles/s' | 'lone grant p50 ms'): number => {
    const values = cells.map((cell) => cell[column]);
    return Math.max(...values) / Math.min(...values);
  };
  return {
    tables: [
      {
        title: `One annotator with ${HELD} leases, overlap ${OVERLAP}; medians of ${plan.rounds} rounds of ${plan.cyclesPerRound.toLocaleString('en-US')} cycles, cells in turns`,
        rows: cells,
      },
    ],
    goals: [
      {
        name: 'cycles/s, fastest cell to slowest',
        value: spread('cycles/s'),
        bound: 'at most',
        limit: 1.3,
        unit: 'x',
      },
      {
        name: 'lone grant, slowest cell to fastest',
        value: spread('lone grant p50 ms'),
        bound: 'at most',
        limit: 1.3,
        unit: 'x',
      },
    ],
    notes: [
      "A lone grant is one request with nothing else going on: pick, commit, and the read of the task's data.",
      '"First leases" are those of an engine that has just started: it reads the queue for the first time.',
    ],
  };
}
