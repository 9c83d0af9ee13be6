import { type Child, startChild } from '../child.ts';
import type { ClientsAnswer, ClientsOrder, Kind } from '../clients-process.ts';
import { cpuTime } from '../cpu.ts';
import { median } from '../measure.ts';
import { addAnnotators, addProject, addTasks, addTokens, settleTables, withDatabase } from '../population.ts';
import type { ServerAnswer, ServerOrder } from '../server-process.ts';
import type { BenchContext, Suite, SuiteReport } from '../suite.ts';

const ANNOTATORS = 200;
const FIXED_RATE = 300;
/** More than a single gateway process has ever answered. */
const CYCLES_PER_SECOND_MAX = 10_000;

type Clients = Child<ClientsOrder, ClientsAnswer>;
type ServerProcess = Child<ServerOrder, ServerAnswer>;

interface Side {
  readonly server: ServerProcess;
  readonly clients: Clients;
}

interface Closed {
  readonly kind: Kind;
  readonly answer: ClientsAnswer;
  readonly serverUs: number;
  readonly clientsUs: number;
  readonly postgresUs: number | null;
}

export const socketsSuite: Suite = {
  name: 'sockets',
  about: 'cycles per second and times over real sockets, beside a bare Socket.IO echo',
  run,
};

async function run(context: BenchContext): Promise<SuiteReport> {
  const { cluster, quick } = context;
  const plan = quick
    ? { rounds: 2, windowMs: 1_000, warmUpMs: 1_000, openMs: 2_000 }
    : { rounds: 5, windowMs: 4_000, warmUpMs: 4_000, openMs: 20_000 };
  const url = await cluster.createDatabase('bench_sockets');
  const busyMs = plan.warmUpMs + 2 * plan.rounds * plan.windowMs;
  const tasks = (CYCLES_PER_SECOND_MAX * busyMs) / 1_000 + (FIXED_RATE * 2 * plan.openMs) / 1_000;
  context.say(`queueing ${tasks.toLocaleString('en-US')} tasks`);
  const annotatorIds = await withDatabase(url, async (db) => {
    const project = await addProject(db, 'sockets');
    await addTasks(db, project, { count: tasks });
    const ids = await addAnnotators(db, { count: ANNOTATORS });
    await addTokens(db, ids);
    await settleTables(db);
    return ids;
  });
  const baton = await startSide({ start: 'gateway', databaseUrl: url }, annotatorIds);
  const echo = await startSide({ start: 'echo' }, annotatorIds);
  try {
    context.say('warming up');
    await baton.clients.ask({ closedLoopMs: plan.warmUpMs, kind: 'work' });
    await echo.clients.ask({ closedLoopMs: plan.warmUpMs / 2, kind: 'echo' });
    await cluster.checkpoint();
    const closed: Closed[] = [];
    for (let i = 1; i <= plan.rounds; i += 1) {
      closed.push(await closedWindow(context, baton, 'work', plan.windowMs));
      closed.push(await closedWindow(context, baton, 'next', plan.windowMs));
      closed.push(await closedWindow(context, echo, 'echo', plan.windowMs));
      context.say(`closed loop, round ${i} of ${plan.rounds}`);
    }
    context.say(`open loop at ${FIXED_RATE} cycles/s`);
    const open = { openLoopMs: plan.openMs, perSecond: FIXED_RATE } as const;
    const paced = await baton.clients.ask({ ...open, kind: 'work' });
    const pacedEcho = await echo.clients.ask({ ...open, kind: 'echo' });
    return report(closed, paced, pacedEcho);
  } finally {
    await Promise.all([baton.clients.stop(), echo.clients.stop()]);
    await Promise.all([baton.server.stop(), echo.server.stop()]);
    await cluster.dropDatabase('bench_sockets');
  }
}

async function startSide(order: ServerOrder, annotatorIds: readonly number[]): Promise<Side> {
  const server = startChild<ServerOrder, ServerAnswer>('./server-process.ts');
  const clients = startChild<ClientsOrder, ClientsAnswer>('./clients-process.ts');
  const { port } = await server.ask(order);
  await clients.ask({ connect: { port, annotatorIds } });
  return { server, clients };
}

async function closedWindow(
  context: BenchContext,
  side: Side,
  kind: Kind,
  windowMs: number,
): Promise<Closed> {
  const before = await cpuOf(context, side);
  const answer = await side.clients.ask({ closedLoopMs: windowMs, kind });
  const after = await cpuOf(context, side);
  const perCycle = (from: number, to: number): number => ((to - from) * 1_000) / answer.cycles;
  return {
    kind,
    answer,
    serverUs: perCycle(before.serverMs, after.serverMs),
    clientsUs: perCycle(before.clientsMs, after.clientsMs),
    postgresUs:
      before.postgresMs === undefined || after.postgresMs === undefined || kind === 'echo'
        ? null
        : perCycle(before.postgresMs, after.postgresMs),
  };
}

async function cpuOf({ cluster }: BenchContext, side: Side) {
  const server = await side.server.ask({ read: 'usage' });
  const clients = await side.clients.ask({ read: 'nothing' });
  return { serverMs: server.cpuMs, clientsMs: clients.cpuMs, postgresMs: cpuTime(cluster.pid).postgresMs };
}

function report(closed: readonly Closed[], paced: ClientsAnswer, pacedEcho: ClientsAnswer): SuiteReport {
  const of = (kind: Kind): Closed[] => closed.filter((window) => window.kind === kind);
  const paceRow = (
    what: string,
    { grant, submit }: ClientsAnswer,
  ): Record<string, string | number | null> => ({
    what,
    'grant p50 ms': grant?.p50 ?? null,
    'grant p99 ms': grant?.p99 ?? null,
    'grant max ms': grant?.max ?? null,
    'submit p50 ms': submit?.p50 ?? null,
    'submit p99 ms': submit?.p99 ?? null,
  });
  return {
    tables: [
      {
        title: `Closed loop, ${ANNOTATORS} connected annotators; medians of ${of('echo').length} rounds`,
        rows: [
          closedRow('request, then submit', of('work')),
          closedRow('submit with next', of('next')),
          closedRow('bare echo', of('echo')),
        ],
      },
      {
        title: `Open loop, ${FIXED_RATE} cycles/s: request, then submit; times from the intended moment`,
        rows: [paceRow('Baton', paced), paceRow('bare echo', pacedEcho)],
      },
    ],
    goals: [],
    notes: [
      'Server, clients and Postgres share the CPUs; each side has a server process and a client process.',
      'A cycle of "request, then submit" is two messages, of the others one. Rate limits are lifted.',
    ],
  };
}

function closedRow(what: string, windows: readonly Closed[]): Record<string, string | number | null> {
  const middle = (pick: (window: Closed) => number | null | undefined): number | null => {
    const values = windows.map(pick).filter((value) => value !== null && value !== undefined);
    return values.length === 0 ? null : median(values);
  };
  return {
    what,
    'cycles/s': middle(({ answer }) => (answer.cycles * 1_000) / answer.elapsedMs),
    'request p50 ms': middle(({ answer, kind }) => (kind === 'next' ? null : answer.grant?.p50)),
    'request p99 ms': middle(({ answer, kind }) => (kind === 'next' ? null : answer.grant?.p99)),
    'submit p50 ms': middle(({ answer }) => answer.submit?.p50),
    'submit p99 ms': middle(({ answer }) => answer.submit?.p99),
    'server us/cycle': middle((window) => window.serverUs),
    'Postgres us/cycle': middle((window) => window.postgresUs),
    'clients us/cycle': middle((window) => window.clientsUs),
  };
}
