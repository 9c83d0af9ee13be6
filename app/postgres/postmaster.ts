import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isProcessRunning, processCommand } from '../processes.ts';
import { StartFailure, systemErrorCode } from '../start-failure.ts';
import type { Account } from './account.ts';
import { type Cluster, postgresEnvironment } from './cluster.ts';

const LOG_BYTES_MAX = 10 * 1024 * 1024;
const POLL_MS = 25;

/** The server process of a cluster, as its postmaster.pid names it. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

/**
 * Reads who serves a cluster now. A file left behind by a `kill -9` names a process that is gone, or an id that
 * another program has by now: neither is a postmaster.
 */
export function livePostmaster(cluster: string): Postmaster | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!Number.isSafeInteger(pid) || pid < 1 || lines[1] !== cluster) return undefined;
  if (!isProcessRunning(pid)) return undefined;
  const command = processCommand(pid);
  if (command !== undefined && !(command.includes('postgres') && command.includes(cluster))) return undefined;
  return { pid, port };
}

/**
 * Removes a postmaster.pid whose process id another program has by now. Postgres takes over a stale file by
 * itself in all other cases, and does it with more knowledge (its shared memory) than we have.
 */
export function clearForeignPidFile(cluster: string): void {
  const file = join(cluster, 'postmaster.pid');
  if (!existsSync(file) || livePostmaster(cluster) !== undefined) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  if (Number.isSafeInteger(pid) && pid > 0 && isProcessRunning(pid)) rmSync(file, { force: true });
}

/**
 * Starts the server in a session of its own: a Ctrl-C in the terminal reaches our whole process group, and must
 * not take the database away before we have stopped. Its output goes to a file, since a pipe would break when
 * our process is killed.
 *
 * @returns the process id, and how to learn that it has ended early.
 */
export function spawnPostmaster(args: {
  cluster: Cluster;
  program: string;
  account: Account;
  port: number;
  logFile: string;
  settings: Readonly<Record<string, string>>;
}): { pid: number; hasEnded: () => boolean } {
  if (existsSync(args.logFile) && statSync(args.logFile).size > LOG_BYTES_MAX) {
    renameSync(args.logFile, `${args.logFile}.1`);
  }
  const log = openSync(args.logFile, 'a', 0o600);
  try {
    const flags = Object.entries({ ...args.settings, port: String(args.port) });
    const child = spawn(
      args.program,
      ['-D', args.cluster.path, ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        ...args.account,
        cwd: args.cluster.path,
        env: postgresEnvironment(),
        detached: true,
        stdio: ['ignore', log, log],
      },
    );
    const end = { seen: false };
    child.once('exit', () => {
      end.seen = true;
    });
    child.once('error', () => {
      end.seen = true;
    });
    child.unref();
    return { pid: child.pid ?? 0, hasEnded: () => end.seen };
  } finally {
    closeSync(log);
  }
}

/**
 * Stops a server: first as `pg_ctl stop -m fast` does (open transactions are rolled back, a checkpoint is
 * written), and after `timeoutMs` at once, which loses nothing but makes the next start replay its log.
 */
export async function stopPostmaster(cluster: string, pid: number, timeoutMs: number): Promise<void> {
  const serves = (): boolean => isProcessRunning(pid) && livePostmaster(cluster)?.pid === pid;
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!signalIfThere(pid, signal, serves)) return;
    const deadline = performance.now() + timeoutMs;
    // It removes postmaster.pid as its last act, so the file tells the end even when nobody reaps the process.
    while (performance.now() < deadline) {
      if (!serves()) return;
      await delay(POLL_MS);
    }
  }
  throw new StartFailure(
    'postgres_failed',
    `Postgres (process id ${pid}) does not stop.`,
    `End process ${pid} by hand.`,
  );
}

/** @returns a port of the loopback interface that is free now: the wanted one if it is. */
export async function freePort(wanted?: number): Promise<number> {
  if (wanted !== undefined) {
    const got = await listenOnce(wanted).catch(() => undefined);
    if (got !== undefined) return got;
  }
  return listenOnce(0);
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}

function signalIfThere(pid: number, signal: NodeJS.Signals, serves: () => boolean): boolean {
  // Looked at again just before: the id may belong to somebody else by now.
  if (!serves()) return false;
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ESRCH') return false;
    throw error;
  }
}
