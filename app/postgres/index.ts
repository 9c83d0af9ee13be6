import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { readSecret, writeSecret } from '../data-directory.ts';
import { messageOf, StartFailure } from '../start-failure.ts';
import { type Account, postgresAccount } from './account.ts';
import { type Binaries, findBinaries } from './binaries.ts';
import { type Cluster, openCluster, readPassword, SUPERUSER } from './cluster.ts';
import {
  clearForeignPidFile,
  freePort,
  livePostmaster,
  type Postmaster,
  spawnPostmaster,
  stopPostmaster,
} from './postmaster.ts';
import { type SupervisionEvent, supervise } from './supervisor.ts';

const DATABASE = 'baton';
const PORT_FILE = 'postgres-port';
const POLL_MS = 25;
const CONNECT_TIMEOUT_MS = 2_000;
/** Recovery after a crash replays the log since the last checkpoint: minutes at the worst. */
const READY_TIMEOUT_MS = 300_000;
const START_ATTEMPTS = 5;
const START_RETRY_MS = 300;
/** Somebody took the port, or backends of a killed postmaster have not noticed yet that it is gone. */
const PASSING_FAILURES = /TCP\/IP socket|could not bind|shared memory|lock file/;
const STOP_TIMEOUT_MS = 30_000;

/** Durability is Postgres's default (fsync and synchronous_commit on) and stays so. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '60',
  shared_buffers: '192MB',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  // Short statements by the thousand gain nothing from either, and containers have little shared memory.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] ',
  // A statement in the log would carry task data with it.
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
  // TERSE leaves out the rows ("Failing row contains ...", "Key (..)=(..)") that a violated constraint would log.
  log_error_verbosity: 'terse',
};

/** For throwaway clusters of tests: what is lost when the machine fails does not matter there. */
const THROWAWAY_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
};

export interface EmbeddedPostgres {
  /** The `baton` database, with its superuser and password. A secret. */
  readonly url: string;
  readonly pid: number;
  readonly port: number;
  /** True when it was already running, left over by a server that was killed. */
  readonly adopted: boolean;
  /** Fast shutdown, then waits for the end. Safe to repeat. */
  stop(timeoutMs?: number): Promise<void>;
}

/**
 * Starts the Postgres of a data directory, or adopts the one that still runs there. The caller holds the lock of
 * the data directory.
 *
 * @throws StartFailure
 */
export async function startEmbeddedPostgres(args: {
  dataDirectory: string;
  durable?: boolean;
  settings?: Readonly<Record<string, string>>;
  /** Given: a server that ends unasked is started again, at the same address, and this is told of it. */
  onEvent?: (event: SupervisionEvent) => void;
}): Promise<EmbeddedPostgres> {
  const account = await postgresAccount();
  const binaries = findBinaries(account, args.dataDirectory);
  const cluster = await openCluster(args.dataDirectory, account, binaries);
  const settings = { ...SETTINGS, ...(args.durable === false ? THROWAWAY_SETTINGS : {}), ...args.settings };

  const startArgs = { cluster, binaries, account, settings, dataDirectory: args.dataDirectory };
  const left = await adopt(cluster);
  const { pid, port } = left ?? (await start(startArgs));
  try {
    await ensureDatabase(cluster, port);
  } catch (error) {
    await stopLeftPostgres(args.dataDirectory);
    throw error;
  }

  const { onEvent } = args;
  const isRunning = (): boolean => livePostmaster(cluster.path) !== undefined;
  const restart = async (): Promise<void> => {
    await start({ ...startArgs, portMust: port });
  };
  const endSupervision = onEvent === undefined ? undefined : supervise({ isRunning, restart, onEvent });
  return {
    url: urlOf(cluster, port, DATABASE),
    pid,
    port,
    adopted: left !== undefined,
    async stop(timeoutMs = STOP_TIMEOUT_MS) {
      await endSupervision?.();
      await stopLeftPostgres(args.dataDirectory, timeoutMs);
    },
  };
}

/** Stops the Postgres of a data directory if one runs there, whoever started it. */
export async function stopLeftPostgres(dataDirectory: string, timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
  const path = join(dataDirectory, 'postgres');
  const left = livePostmaster(path);
  if (left !== undefined) await stopPostmaster(path, left.pid, timeoutMs);
}

/** The address of the database of a data directory whose Postgres runs now; nothing is started or changed. */
export function urlIfRunning(dataDirectory: string): string | undefined {
  if (!existsSync(dataDirectory)) return undefined;
  const directory = realpathSync(dataDirectory);
  const path = join(directory, 'postgres');
  const [live, password] = [livePostmaster(path), readPassword(directory)];
  return live === undefined || password === undefined
    ? undefined
    : urlOf({ path, password }, live.port, DATABASE);
}

/** The server that a killed Baton left running, once it answers; undefined when there is none, or it ends. */
async function adopt(cluster: Cluster): Promise<Postmaster | undefined> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const live = livePostmaster(cluster.path);
    if (live === undefined) return undefined;
    const answer = await ask(cluster, live.port);
    if (answer.ready) return live;
    await delay(POLL_MS);
  }
  throw new StartFailure(
    'postgres_failed',
    `A Postgres runs in ${cluster.path} and does not answer.`,
    'End the process that postmaster.pid in that directory names, then start again.',
  );
}

async function start(args: {
  cluster: Cluster;
  binaries: Binaries;
  account: Account;
  settings: Readonly<Record<string, string>>;
  dataDirectory: string;
  /** Those who are connected know the server by this port: another one would not help them. */
  portMust?: number;
}): Promise<Postmaster> {
  const { cluster, dataDirectory } = args;
  const logFile = join(dataDirectory, 'postgres.log');
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt += 1) {
    clearForeignPidFile(cluster.path);
    const kept = Number(readSecret(dataDirectory, PORT_FILE));
    const port = args.portMust ?? (await freePort(kept > 0 ? kept : undefined));
    const child = spawnPostmaster({ ...args, program: args.binaries.postgres, port, logFile });
    if (await becomesReady(cluster, port, child.hasEnded)) {
      if (port !== kept) writeSecret(dataDirectory, PORT_FILE, String(port));
      return { pid: child.pid, port };
    }
    if (!PASSING_FAILURES.test(lastLogLine(logFile))) break;
    await delay(START_RETRY_MS * attempt);
  }
  throw new StartFailure(
    'postgres_failed',
    `Postgres does not start: ${lastLogLine(logFile)}`,
    `See ${logFile}. If the disk is full, make room; if files are damaged, restore the data directory from a backup.`,
  );
}

async function becomesReady(cluster: Cluster, port: number, hasEnded: () => boolean): Promise<boolean> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!hasEnded() && performance.now() < deadline) {
    const answer = await ask(cluster, port);
    if (answer.ready) return true;
    await delay(POLL_MS);
  }
  return false;
}

/**
 * Ready means: it answers to our password and says that it serves our directory. A stranger's server on the port
 * passes neither.
 */
async function ask(cluster: Cluster, port: number): Promise<{ ready: boolean }> {
  const client = clientFor(cluster, port, 'postgres');
  try {
    await client.connect();
    const { rows } = await client.query<{ directory: string }>(
      `select current_setting('data_directory') as directory`,
    );
    return { ready: rows[0]?.directory === cluster.path };
  } catch {
    // Not there yet, starting up or shutting down: the caller asks again until its deadline.
    return { ready: false };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function ensureDatabase(cluster: Cluster, port: number): Promise<void> {
  const client = clientFor(cluster, port, 'postgres');
  try {
    await client.connect();
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } catch (error) {
    throw new StartFailure(
      'postgres_failed',
      `The database could not be made: ${messageOf(error)}.`,
      'Check the disk space.',
      error,
    );
  } finally {
    await client.end().catch(() => undefined);
  }
}

function clientFor(cluster: Cluster, port: number, database: string): pg.Client {
  const client = new pg.Client({
    connectionString: urlOf(cluster, port, database),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // Without a listener a connection that breaks between two calls would end the process; the call itself fails.
  client.on('error', () => undefined);
  return client;
}

function urlOf(cluster: Cluster, port: number, database: string): string {
  return `postgres://${SUPERUSER}:${encodeURIComponent(cluster.password)}@127.0.0.1:${port}/${database}`;
}

function lastLogLine(logFile: string): string {
  if (!existsSync(logFile)) return 'it wrote no log.';
  const lines = readFileSync(logFile, 'utf8').trim().split('\n');
  return lines.findLast((line) => /FATAL|PANIC|ERROR/.test(line)) ?? lines.at(-1) ?? 'it wrote no log.';
}
