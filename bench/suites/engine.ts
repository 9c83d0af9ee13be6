import { type CpuTime, cpuPerCycle, cpuTime } from '../cpu.ts';
import { Crowd, type Window } from '../crowd.ts';
import { type EngineNode, startEngineNode } from '../engine-node.ts';
import { Floor } from '../floor.ts';
import { distribution, median } from '../measure.ts';
import { addAnnotators, addProject, addTasks, settleTables, withDatabase } from '../population.ts';
import type { BenchContext, Suite, SuiteReport } from '../suite.ts';

const ANNOTATORS = 200;
const SWEEP = [16, 64, 128, 256] as const;
/** Enough for a machine several times faster than the one this was written on. */
const CYCLES_PER_SECOND_MAX = 25_000;

interface Measured extends Window {
  readonly cyclesPerSecond: number;
  readonly nodeUs: number;
  readonly postgresUs: number | null;
  readonly batch: number;
}

interface Round {
  readonly engine: Measured;
  readonly floor: Measured;
}

export const engineSuite: Suite = {
  name: 'engine',
  about: 'durable lease+submit cycles per second in process, beside the same rows written by hand',
  run,
};

async function run(context: BenchContext): Promise<SuiteReport> {
  const { cluster, quick } = context;
  const plan = quick
    ? { rounds: 3, windowMs: 1_000, warmUpMs: 1_000 }
    : { rounds: 7, windowMs: 4_000, warmUpMs: 4_000 };
  const sweepMs = quick ? 500 : 2_000;
  const url = await cluster.createDatabase('bench_engine');
  const busyMs = plan.warmUpMs + plan.rounds * plan.windowMs;
  const tasks = (CYCLES_PER_SECOND_MAX * busyMs) / 1_000;
  context.say(`queueing 2 x ${tasks.toLocaleString('en-US')} tasks of 500 bytes`);
  const { project, annotatorIds, floorArgs } = await withDatabase(url, async (db) => {
    const [project, floorProject] = [await addProject(db, 'engine'), await addProject(db, 'floor')];
    await addTasks(db, project, { count: tasks });
    const firstTask = await addTasks(db, floorProject, {
      count: tasks + SWEEP.length * sweepMs * 25,
      announce: false,
    });
    const annotatorIds = await addAnnotators(db, { count: ANNOTATORS });
    const floorAnnotators = await addAnnotators(db, { count: 2 * Math.max(...SWEEP) });
    await settleTables(db);
    return {
      project,
      annotatorIds,
      floorArgs: { project: floorProject, annotatorIds: floorAnnotators, firstTask },
    };
  });
  const node = await startEngineNode(url);
  const floor = await Floor.open(url, floorArgs);
  try {
    const crowd = await Crowd.gather({ work: node.engine.work, project: project.slug, annotatorIds });
    context.say('warming up');
    await crowd.workFor(plan.warmUpMs);
    const typical = node.takeActivity().submitsPerCommit;
    await floor.workFor(plan.warmUpMs / 4, typical);
    await cluster.checkpoint();
    const rounds: Round[] = [];
    for (let i = 1; i <= plan.rounds; i += 1) {
      const round = await measureRound({ context, node, crowd, floor, windowMs: plan.windowMs });
      rounds.push(round);
      context.say(
        `round ${i} of ${plan.rounds}: engine ${Math.round(round.engine.cyclesPerSecond)}, floor ${Math.round(round.floor.cyclesPerSecond)} cycles/s`,
      );
    }
    const sweep: { batch: number; measured: Measured }[] = [];
    for (const batch of SWEEP) {
      await floor.workFor(sweepMs / 4, [batch]);
      sweep.push({ batch, measured: await measured(context, batch, () => floor.workFor(sweepMs, [batch])) });
    }
    return report(rounds, sweep);
  } finally {
    await floor.close();
    await node.stop();
    await cluster.dropDatabase('bench_engine');
  }
}

/** A window of the engine, then one of the floor with the batches that the engine just committed. */
async function measureRound(args: {
  context: BenchContext;
  node: EngineNode;
  crowd: Crowd;
  floor: Floor;
  windowMs: number;
}): Promise<Round> {
  const { context, node, crowd, floor, windowMs } = args;
  node.takeActivity();
  const working = await measured(context, undefined, () => crowd.workFor(windowMs));
  const sizes = node.takeActivity().submitsPerCommit;
  const engine = { ...working, batch: mean(sizes) };
  return { engine, floor: await measured(context, engine.batch, () => floor.workFor(windowMs, sizes)) };
}

async function measured(
  { cluster }: BenchContext,
  batch: number | undefined,
  work: () => Promise<Window>,
): Promise<Measured> {
  const before: CpuTime = cpuTime(cluster.pid);
  const window = await work();
  const cpu = cpuPerCycle(before, cpuTime(cluster.pid), window.cycles);
  return {
    ...window,
    cyclesPerSecond: (window.cycles * 1_000) / window.elapsedMs,
    nodeUs: cpu.node,
    postgresUs: cpu.postgres,
    batch: batch ?? 0,
  };
}

function report(
  rounds: readonly Round[],
  sweep: readonly { batch: number; measured: Measured }[],
): SuiteReport {
  const engine = rounds.map((round) => round.engine);
  const floor = rounds.map((round) => round.floor);
  const ratios = rounds.map((round) => round.engine.cyclesPerSecond / round.floor.cyclesPerSecond);
  const cycle = distribution(engine.flatMap((window) => [...window.cycleMs]));
  const commit = distribution(floor.flatMap((window) => [...window.cycleMs]));
  return {
    tables: [
      {
        title: `${ANNOTATORS} annotators in process, closed loop; medians of ${rounds.length} rounds`,
        rows: [summary('engine', engine), summary('floor, same batches', floor)],
      },
      {
        title: 'Engine to floor, round by round',
        rows: rounds.map((round, i) => ({
          round: i + 1,
          engine: round.engine.cyclesPerSecond,
          floor: round.floor.cyclesPerSecond,
          ratio: ratios[i] ?? null,
        })),
      },
      {
        title: 'Floor by batch size',
        rows: sweep.map(({ batch, measured }) => ({ batch, ...figures([measured]) })),
      },
      {
        title: 'Times, ms',
        rows: [
          { what: 'engine: submit to its answer with the next task', ...cycle },
          { what: 'floor: one commit', ...commit },
        ],
      },
    ],
    goals: [{ name: 'engine / floor', value: median(ratios), bound: 'at least', limit: 0.5, unit: '' }],
    notes: [
      "A cycle is one lease and its submit, both committed. Node's CPU includes the simulated annotators.",
      'The floor reads nothing and checks nothing; its statement writes the rows of a whole batch in one round trip.',
    ],
  };
}

function summary(what: string, windows: readonly Measured[]): Record<string, string | number | null> {
  return { what, ...figures(windows), 'cycles/commit': median(windows.map((w) => w.batch)) };
}

function figures(windows: readonly Measured[]): Record<string, number | null> {
  const postgres = windows.map((w) => w.postgresUs).filter((us) => us !== null);
  return {
    'cycles/s': median(windows.map((w) => w.cyclesPerSecond)),
    'Node us/cycle': median(windows.map((w) => w.nodeUs)),
    'Postgres us/cycle': postgres.length === 0 ? null : median(postgres),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
