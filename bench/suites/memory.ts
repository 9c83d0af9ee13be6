import { setTimeout as delay } from 'node:timers/promises';
import { startChild } from '../child.ts';
import type { ClientsAnswer, ClientsOrder } from '../clients-process.ts';
import { addAnnotators, addProject, addTasks, addTokens, settleTables, withDatabase } from '../population.ts';
import type { ServerAnswer, ServerOrder } from '../server-process.ts';
import type { BenchContext, Goal, Suite, Table } from '../suite.ts';

const MEGABYTE = 1_048_576;
/** Connections that come and go before the empty process is measured: code and buffers that stay are not theirs. */
const WARM_UP_CONNECTIONS = 100;
/** Idle long enough for a ping to have gone both ways (every 15 s). */
const IDLE_MS = 20_000;

export const memorySuite: Suite = {
  name: 'memory',
  about: 'resident memory of an engine over a large project, and of an idle connected annotator',
  async run(context) {
    const engine = await measureEngine(context);
    const gateway = await measureGateway(context);
    return {
      tables: [engine.table, gateway.table],
      goals: [engine.goal, gateway.goal],
      notes: [
        'Resident memory as the kernel counts it, of the whole Node process, the loader of TypeScript included. The heap is',
        'what a full garbage collection leaves of it.',
      ],
    };
  },
};

type Part = { readonly table: Table; readonly goal: Goal };

async function measureEngine(context: BenchContext): Promise<Part> {
  const { cluster, quick } = context;
  const tasks = quick ? 100_000 : 1_000_000;
  const cycles = quick ? 2_000 : 10_000;
  const name = 'bench_memory';
  const databaseUrl = await cluster.createDatabase(name);
  context.say(`queueing ${tasks.toLocaleString('en-US')} tasks`);
  const { project, annotatorIds } = await withDatabase(databaseUrl, async (db) => {
    const made = await addProject(db, 'large');
    await addTasks(db, made, { count: tasks });
    const ids = await addAnnotators(db, { count: 200 });
    await settleTables(db);
    return { project: made, annotatorIds: ids };
  });
  const server = startServer();
  try {
    const empty = await server.ask({ start: 'engine', databaseUrl });
    context.say(`${cycles.toLocaleString('en-US')} cycles`);
    const used = await server.ask({ work: { cycles, project: project.slug, annotatorIds } });
    const title = `Engine process, ${tasks.toLocaleString('en-US')} queued tasks of 500 bytes, MB`;
    return {
      table: {
        title,
        rows: [
          { when: 'started', ...megabytes(empty) },
          { when: `after ${cycles.toLocaleString('en-US')} cycles by 200 annotators`, ...megabytes(used) },
        ],
      },
      goal: {
        name: 'engine resident at its peak',
        value: used.peakBytes / MEGABYTE,
        bound: 'at most',
        limit: 300,
        unit: 'MB',
      },
    };
  } finally {
    await server.stop();
    await cluster.dropDatabase(name);
  }
}

async function measureGateway(context: BenchContext): Promise<Part> {
  const { cluster, quick } = context;
  const count = quick ? 500 : 2_000;
  const name = 'bench_idle';
  const databaseUrl = await cluster.createDatabase(name);
  const annotatorIds = await withDatabase(databaseUrl, async (db) => {
    await addProject(db, 'idle');
    const ids = await addAnnotators(db, { count });
    await addTokens(db, ids);
    return ids;
  });
  const server = startServer();
  try {
    const { port } = await server.ask({ start: 'gateway', databaseUrl });
    await visit(port, annotatorIds.slice(0, WARM_UP_CONNECTIONS), () =>
      waitUntil(server, 'all', WARM_UP_CONNECTIONS),
    );
    const empty = await waitUntil(server, 'none', 0);
    context.say(`connecting ${count} annotators`);
    const full = await visit(port, annotatorIds, async () => {
      await waitUntil(server, 'all', count);
      await delay(quick ? 2_000 : IDLE_MS);
      return server.ask({ read: 'usage' });
    });
    const each = (pick: (usage: ServerAnswer) => number): number =>
      (pick(full) - pick(empty)) / count / 1_024;
    return {
      table: {
        title: `Engine and gateway in one process, ${count.toLocaleString('en-US')} idle connected annotators`,
        rows: [
          { what: 'empty, MB', ...residentOf(empty) },
          { what: 'with all of them, MB', ...residentOf(full) },
          {
            what: 'each, KB',
            resident: each((u) => u.residentBytes),
            heap: each((u) => u.heapBytes),
          },
        ],
      },
      goal: {
        name: 'an idle connected annotator, resident',
        value: each((usage) => usage.residentBytes),
        bound: 'at most',
        limit: 25,
        unit: 'KB',
      },
    };
  } finally {
    await server.stop();
    await cluster.dropDatabase(name);
  }
}

function startServer() {
  return startChild<ServerOrder, ServerAnswer>('./server-process.ts', { nodeFlags: ['--expose-gc'] });
}

/** Connects these annotators from another process, while `whileThere` runs. */
async function visit<T>(
  port: number,
  annotatorIds: readonly number[],
  whileThere: () => Promise<T>,
): Promise<T> {
  const clients = startChild<ClientsOrder, ClientsAnswer>('./clients-process.ts');
  try {
    await clients.ask({ connect: { port, annotatorIds } });
    return await whileThere();
  } finally {
    await clients.stop();
  }
}

/** The server notices a connection, or its end, a little after its client. */
async function waitUntil(
  server: ReturnType<typeof startServer>,
  who: 'all' | 'none',
  count: number,
): Promise<ServerAnswer> {
  for (let tries = 0; tries < 100; tries += 1) {
    const usage = await server.ask({ read: 'usage' });
    if (usage.connections === count) return usage;
    await delay(100);
  }
  throw new Error(`${who} should be connected by now`);
}

function megabytes(usage: ServerAnswer): Record<string, number> {
  return { ...residentOf(usage), peak: usage.peakBytes / MEGABYTE };
}

function residentOf(usage: ServerAnswer): Record<string, number> {
  return { resident: usage.residentBytes / MEGABYTE, heap: usage.heapBytes / MEGABYTE };
}
