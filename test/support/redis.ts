import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'redis';

const START_MS = 10_000;
const LOOK_MS = 20;
const HOW =
  'Install it (Debian: apt-get install redis-server; macOS: brew install redis) and run this again.';

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  pid(): number;
  stop(): Promise<void>;
  /** The same port again, with nothing remembered. */
  start(): Promise<void>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** Runs one command on a connection of its own. */
  command(...args: string[]): Promise<unknown>;
}

/**
 * Makes sure that there is a redis-server: under root on Debian it is installed. Called once before all tests.
 *
 * @throws when there is none and none can be installed: the message says what to do.
 */
export function ensureRedis(): void {
  if (onPath() !== undefined) return;
  const canInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (!canInstall) throw new Error(`The tests need redis-server 7 or later, which is not there. ${HOW}`);
  // Nothing is to be started by the package: each test starts its own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const run = (...args: string[]) => execFileSync('apt-get', ['-qq', ...args], { env, stdio: 'pipe' });
  try {
    run('update');
    run('install', '-y', '--no-install-recommends', 'redis-server');
  } catch (error) {
    throw new Error(`redis-server is not there and could not be installed. ${HOW}`, { cause: error });
  }
}

/** A Redis of its own on a free loopback port, which keeps nothing. */
export async function startTestRedis(more: readonly string[] = []): Promise<TestRedis> {
  const binary = onPath();
  if (binary === undefined) throw new Error(`There is no redis-server. ${HOW}`);
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'baton-test-redis-'));
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const settings = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory, ...more];
  const redis: TestRedis = {
    url,
    port,
    pid: () => child?.pid ?? 0,
    async start() {
      child = spawn(binary, ['--port', String(port), ...settings], { stdio: 'ignore' });
      await answers(url, child);
    },
    async stop() {
      const running = child;
      child = undefined;
      if (running && running.exitCode === null && running.signalCode === null) {
        const gone = once(running, 'exit');
        running.kill('SIGKILL');
        await gone;
      }
    },
    signal: (name) => child?.kill(name),
    async command(...args) {
      const client = createClient({ url, socket: { reconnectStrategy: false } });
      client.on('error', () => undefined);
      await client.connect();
      try {
        return await client.sendCommand(args);
      } finally {
        client.destroy();
      }
    },
  };
  process.once('exit', () => {
    child?.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  await redis.start();
  return redis;
}

function onPath(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
  return folders.map((folder) => join(folder, 'redis-server')).find((path) => existsSync(path));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  const endMs = performance.now() + START_MS;
  while (performance.now() < endMs) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`);
    const client = createClient({ url, socket: { reconnectStrategy: false } });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.ping();
      return;
    } catch {
      // Not yet: asked again until the time is over.
      await delay(LOOK_MS);
    } finally {
      if (client.isOpen) client.destroy();
    }
  }
  throw new Error('redis-server does not answer');
}
