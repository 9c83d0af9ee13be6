import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSecret, writeSecret } from '../data-directory.ts';
import { messageOf, StartFailure } from '../start-failure.ts';
import { type Account, canReach } from './account.ts';
import type { Binaries } from './binaries.ts';

const run = promisify(execFile);
const INITDB_TIMEOUT_MS = 120_000;
const PASSWORD = 'postgres-password';

export const SUPERUSER = 'baton';

/** A Postgres data directory that exists and is of the right version, and the password to its superuser. */
export interface Cluster {
  readonly path: string;
  readonly password: string;
}

/**
 * The cluster inside a data directory; makes it when there is none. A making that was interrupted leaves nothing
 * that a later start could take for a cluster: it gets its name when it is complete.
 *
 * @throws StartFailure data_directory_unusable, data_directory_newer, data_directory_older, postgres_failed
 */
export async function openCluster(
  dataDirectory: string,
  account: Account,
  binaries: Binaries,
): Promise<Cluster> {
  if (!canReach(account, dataDirectory)) {
    throw new StartFailure(
      'data_directory_unusable',
      `Postgres runs as the account "postgres" under root, which cannot reach ${dataDirectory}.`,
      'Set BATON_DATA_DIR to a directory whose parents everybody may pass through, for example /var/lib/baton.',
    );
  }
  const path = join(dataDirectory, 'postgres');
  if (existsSync(path)) return { path, password: checkExisting(dataDirectory, path, binaries.major) };
  const password = randomBytes(24).toString('base64url');
  writeSecret(dataDirectory, PASSWORD, password);
  await initialise(dataDirectory, path, password, account, binaries);
  return { path, password };
}

export function readPassword(dataDirectory: string): string | undefined {
  return readSecret(dataDirectory, PASSWORD);
}

function checkExisting(dataDirectory: string, path: string, major: number): string {
  const found = versionOf(path);
  if (found !== undefined && found > major) {
    throw new StartFailure(
      'data_directory_newer',
      `The data in ${dataDirectory} was written by Postgres ${found}; this Baton brings Postgres ${major}.`,
      'Start it with the newer Baton that wrote it, or set BATON_DATA_DIR to another directory.',
    );
  }
  if (found !== undefined && found < major) {
    throw new StartFailure(
      'data_directory_older',
      `The data in ${dataDirectory} was written by Postgres ${found}; this Baton brings Postgres ${major}, which cannot read it.`,
      'Dump it with the Baton that wrote it (pg_dump) and restore it into a new BATON_DATA_DIR.',
    );
  }
  const password = readPassword(dataDirectory);
  if (found === undefined || password === undefined) {
    throw new StartFailure(
      'data_directory_unusable',
      `${path} is not a database that Baton made, or a part of it is missing (${found === undefined ? 'PG_VERSION' : PASSWORD}).`,
      'Restore the whole data directory from a backup, or set BATON_DATA_DIR to a new directory.',
    );
  }
  return password;
}

function versionOf(path: string): number | undefined {
  const file = join(path, 'PG_VERSION');
  if (!existsSync(file)) return undefined;
  const major = Number.parseInt(readFileSync(file, 'utf8'), 10);
  return Number.isNaN(major) ? undefined : major;
}

async function initialise(
  dataDirectory: string,
  path: string,
  password: string,
  account: Account,
  binaries: Binaries,
): Promise<void> {
  const place = join(dataDirectory, 'postgres.unfinished');
  const passwordFile = join(dataDirectory, 'postgres-password.initdb');
  try {
    rmSync(place, { recursive: true, force: true });
    if (existsSync(place))
      throw new Error(`${place} cannot be removed: ${readdirSync(place).length} entries`);
    mkdirSync(place, { mode: 0o700 });
    // initdb reads the password as the account it runs as.
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    if (account.uid !== undefined)
      for (const own of [place, passwordFile]) chownSync(own, account.uid, account.gid);
    await run(
      binaries.initdb,
      [
        `--pgdata=${place}`,
        `--username=${SUPERUSER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        // The built-in provider sorts the same on every machine, whatever locales it has.
        '--encoding=UTF8',
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--no-instructions',
      ],
      { ...account, cwd: dataDirectory, env: postgresEnvironment(), timeout: INITDB_TIMEOUT_MS },
    );
    renameSync(place, path);
  } catch (error) {
    throw new StartFailure(
      'postgres_failed',
      `A database could not be made in ${dataDirectory}: ${lastLine(error)}`,
      'Check that there is space on the disk, and that this user may write there.',
      error,
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** Nothing of ours leaks in: PG* variables of the shell would change what the server does, secrets are no business of its. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };
}

function lastLine(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return said.split('\n').at(-1) || messageOf(error);
}
