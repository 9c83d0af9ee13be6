import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openDataDirectory } from './data-directory.ts';
import { startEmbeddedPostgres } from './postgres/index.ts';
import { messageOf } from './start-failure.ts';

const CLI = fileURLToPath(new URL('./cli.ts', import.meta.url));
const NODES = 2;
const FIRST_PORT = Number(process.env.PORT ?? 3000);
const STOP_MS = 10_000;

/**
 * Two whole nodes on one embedded Postgres and one Redis, started again at every change of the code: the smallest cluster
 * there is, to develop against.
 */
async function dev(): Promise<void> {
  const directory = openDataDirectory(process.env.BATON_DATA_DIR ?? '.baton/dev');
  const postgres = await startEmbeddedPostgres({ dataDirectory: directory.path });
  const nodes: ChildProcess[] = [];
  const redis: ChildProcess[] = [];
  let isStopping = false;
  const stop = async (exitCode: number): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    // The nodes first: they tell each other, over Redis, that they go.
    await Promise.all(nodes.map(ended));
    await Promise.all(redis.map(ended));
    await postgres.stop(STOP_MS);
    directory.release();
    process.exit(exitCode);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(0));
  try {
    const redisUrl = process.env.REDIS_URL ?? (await startRedis(redis));
    for (let i = 0; i < NODES; i++) {
      nodes.push(
        startNode(i, {
          DATABASE_URL: postgres.url,
          REDIS_URL: redisUrl,
          BATON_DATA_DIR: join(directory.path, `node-${i + 1}`),
        }),
      );
    }
  } catch (error) {
    process.stderr.write(`error: ${messageOf(error)}\n`);
    await stop(1);
  }
}

/** Asks it to end, and waits. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

function startNode(index: number, env: Readonly<Record<string, string>>): ChildProcess {
  const name = `node-${index + 1}`;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--watch', '--watch-preserve-output', CLI, 'serve'],
    {
      env: {
        ...process.env,
        LOG_LEVEL: 'debug',
        ...env,
        PORT: String(FIRST_PORT + index),
        BATON_NODE_NAME: name,
        // One of them makes the sample project.
        BATON_SAMPLE: index === 0 ? '1' : '0',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => process.stdout.write(`${name} | ${line}\n`));
  }
  return child;
}

/** A redis-server of this machine, on a free port, that keeps nothing. */
async function startRedis(children: ChildProcess[]): Promise<string> {
  const port = await freePort();
  const child = spawn(
    'redis-server',
    ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'],
    {
      stdio: 'ignore',
    },
  );
  children.push(child);
  const failed = once(child, 'error').then(([error]) => {
    throw new Error(
      `redis-server does not start (${messageOf(error)}). Install it (Debian: apt-get install redis-server), or set REDIS_URL.`,
    );
  });
  await Promise.race([once(child, 'spawn'), failed]);
  failed.catch(() => undefined);
  return `redis://127.0.0.1:${port}`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('there is no free port');
  return address.port;
}

await dev();
