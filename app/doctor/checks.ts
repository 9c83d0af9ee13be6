import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { type Database, openDatabase } from '../../engine/store/database.ts';
import type { Config } from '../config.ts';
import { dataDirectoryHolder } from '../data-directory.ts';
import { readSchemaState } from '../migrate.ts';
import { listenFailure, tryPort } from '../ports.ts';
import { canReach, postgresAccountIfThere } from '../postgres/account.ts';
import { findBinaries } from '../postgres/binaries.ts';
import { urlIfRunning } from '../postgres/index.ts';
import { systemErrorCode } from '../start-failure.ts';

export interface Verdict {
  readonly verdict: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do about it. */
  readonly remedy?: string;
}

export interface Finding extends Verdict {
  readonly check: string;
}

const GIB = 1024 ** 3;
const DISK_FREE_WARN_BYTES = 5 * GIB;
const DISK_FREE_FAIL_BYTES = 0.5 * GIB;
const MEMORY_WARN_BYTES = GIB;
const LOOP_SAMPLE_MS = 300;
const LOOP_DELAY_WARN_MS = 50;
const CLOCK_SKEW_WARN_MS = 2_000;

/** Each looks at one thing, and changes nothing. What a check throws counts as its failure. */
export const CHECKS: Readonly<Record<string, (config: Config) => Promise<Verdict>>> = {
  node: checkNode,
  machine: checkMachine,
  'event loop': checkEventLoop,
  'data directory': checkDataDirectory,
  disk: checkDisk,
  port: checkPort,
  postgres: checkPostgres,
  schema: (config) => withDatabase(config, checkSchema),
  clock: (config) => withDatabase(config, checkClock),
};

async function checkNode(): Promise<Verdict> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19))
    return { verdict: 'ok', message: `Node.js ${process.versions.node}.` };
  return {
    verdict: 'fail',
    message: `Node.js ${process.versions.node} is too old.`,
    remedy: 'Install Node.js 20.19 or later.',
  };
}

async function checkMachine(): Promise<Verdict> {
  const message = `${cpus().length} processors, ${(totalmem() / GIB).toFixed(1)} GiB of memory, ${process.platform} ${process.arch}.`;
  if (totalmem() >= MEMORY_WARN_BYTES) return { verdict: 'ok', message };
  return {
    verdict: 'warn',
    message,
    remedy: 'Give it 1 GiB at least: the embedded Postgres and the server share it.',
  };
}

async function checkEventLoop(): Promise<Verdict> {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  await delay(LOOP_SAMPLE_MS);
  histogram.disable();
  const lateMs = Math.max(0, histogram.max / 1e6 - 10);
  const message = `Late by ${lateMs.toFixed(0)} ms at most, in ${LOOP_SAMPLE_MS} ms.`;
  if (lateMs < LOOP_DELAY_WARN_MS) return { verdict: 'ok', message };
  return {
    verdict: 'warn',
    message,
    remedy: 'This machine is busy: leases may be granted, and lost connections noticed, late.',
  };
}

async function checkDataDirectory(config: Config): Promise<Verdict> {
  const path = resolve(config.dataDirectory);
  const present = await nearestExisting(path);
  await access(present, constants.R_OK | constants.W_OK | constants.X_OK);
  const account = await postgresAccountIfThere();
  if (config.databaseUrl === undefined && account !== undefined && !canReach(account, present)) {
    return {
      verdict: 'fail',
      message: `Under root, Postgres runs as the account "postgres", which cannot reach ${present}.`,
      remedy:
        'Set BATON_DATA_DIR to a directory whose parents everybody may pass through, for example /var/lib/baton.',
    };
  }
  const holder = present === path ? dataDirectoryHolder(path) : undefined;
  const use = holder === undefined ? '' : `, in use by process ${holder}`;
  return { verdict: 'ok', message: present === path ? `${path}${use}.` : `${path} will be made.` };
}

async function checkDisk(config: Config): Promise<Verdict> {
  const { bavail, bsize } = await statfs(await nearestExisting(resolve(config.dataDirectory)));
  const free = bavail * bsize;
  const message = `${(free / GIB).toFixed(1)} GiB free where the data is.`;
  const remedy = 'Make room: Postgres stops when the disk is full.';
  if (free < DISK_FREE_FAIL_BYTES) return { verdict: 'fail', message, remedy };
  return free < DISK_FREE_WARN_BYTES ? { verdict: 'warn', message, remedy } : { verdict: 'ok', message };
}

async function checkPort(config: Config): Promise<Verdict> {
  const where = `${config.host}:${config.port}`;
  const holder = dataDirectoryHolder(config.dataDirectory);
  try {
    await tryPort(config.host, config.port);
    return { verdict: 'ok', message: `${where} is free.` };
  } catch (error) {
    if (systemErrorCode(error) === 'EADDRINUSE' && holder !== undefined) {
      return {
        verdict: 'ok',
        message: `${where} is taken, as it should be: a server runs (process ${holder}).`,
      };
    }
    throw listenFailure(error, config.host, config.port);
  }
}

async function checkPostgres(config: Config): Promise<Verdict> {
  if (config.databaseUrl === undefined) {
    const running = urlIfRunning(config.dataDirectory);
    const { major } = findBinaries({}, resolve(config.dataDirectory));
    if (running === undefined)
      return { verdict: 'ok', message: `Embedded Postgres ${major} is installed; it does not run now.` };
  }
  return withDatabase(config, async (database) => {
    const { rows } = await database.raw<{ rows: { version: string; connections: string; used: string }[] }>(
      `select current_setting('server_version') as version, current_setting('max_connections') as connections,
              (select count(*) from pg_stat_activity where backend_type = 'client backend') as used`,
    );
    const { version, connections, used } = rows[0] ?? { version: '?', connections: '?', used: '?' };
    return {
      verdict: 'ok',
      message: `Postgres ${version} answers; ${used} of ${connections} connections are in use.`,
    };
  });
}

async function checkSchema(database: Database): Promise<Verdict> {
  const { applied, pending, unknown, isUsable } = await readSchemaState(database);
  if (unknown.length > 0) {
    return {
      verdict: isUsable ? 'warn' : 'fail',
      message: `A newer Baton used it: ${unknown.join(', ')}.`,
      remedy: 'Start it with that Baton or a later one.',
    };
  }
  if (pending.length > 0)
    return { verdict: 'ok', message: `${pending.length} migrations will be applied at the next start.` };
  return { verdict: 'ok', message: `Up to date (${applied.at(-1)}).` };
}

async function checkClock(database: Database): Promise<Verdict> {
  const before = Date.now();
  const { rows } = await database.raw<{ rows: { ms: string }[] }>(
    `select extract(epoch from clock_timestamp()) * 1000 as ms`,
  );
  const skewMs = Math.abs(Number(rows[0]?.ms) - (before + Date.now()) / 2);
  const message = `The database's clock and ours differ by ${skewMs.toFixed(0)} ms.`;
  if (skewMs < CLOCK_SKEW_WARN_MS) return { verdict: 'ok', message };
  return {
    verdict: 'warn',
    message,
    remedy: 'Keep both machines on network time: times in exports come from both.',
  };
}

async function withDatabase(
  config: Config,
  look: (database: Database) => Promise<Verdict>,
): Promise<Verdict> {
  const url = config.databaseUrl ?? urlIfRunning(config.dataDirectory);
  if (url === undefined)
    return { verdict: 'ok', message: 'Not looked at: the embedded Postgres does not run now.' };
  const database = openDatabase({ url, poolMax: 1, applicationName: 'baton-doctor' });
  try {
    return await look(database);
  } finally {
    await database.destroy();
  }
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found?.isDirectory() === true) return at;
    if (at === dirname(at)) return at;
  }
}
