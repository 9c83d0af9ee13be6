import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { isProcessRunning, processBirth } from './processes.ts';
import { messageOf, StartFailure, systemErrorCode } from './start-failure.ts';

/**
 * A data directory:
 *
 *     server.lock          the server that uses it, so that a second one is refused
 *     postgres/            the embedded cluster
 *     postgres.log         what Postgres says
 *     postgres-password, admin-token, ...    secrets, readable by their owner alone
 */
export interface DataDirectory {
  readonly path: string;
  /** Gives the lock back. Safe to repeat. */
  release(): void;
}

/**
 * Makes the directory if it is not there and takes its lock. A lock left by a process that is gone is taken over.
 *
 * @throws StartFailure data_directory_in_use, data_directory_unusable
 */
export function openDataDirectory(directory: string): DataDirectory {
  let path = resolve(directory);
  try {
    mkdirSync(path, { recursive: true });
    // Postgres names its directory in postmaster.pid: by one name only, whichever way we came here.
    path = realpathSync(path);
    // Under root, Postgres runs as another account and has to pass through; the secrets are 0600 each.
    chmodSync(path, process.getuid?.() === 0 ? 0o711 : 0o700);
  } catch (error) {
    throw new StartFailure(
      'data_directory_unusable',
      `The data directory ${path} cannot be used: ${messageOf(error)}.`,
      'Set BATON_DATA_DIR to a directory that this user may write.',
      error,
    );
  }
  const lock = join(path, 'server.lock');
  const mine = `${process.pid} ${processBirth(process.pid) ?? ''}\n`;
  takeLock(path, lock, mine);
  return {
    path,
    release() {
      if (readIfThere(lock) === mine) rmSync(lock, { force: true });
    },
  };
}

/** The process that holds the lock of a data directory, or undefined when none does. */
export function dataDirectoryHolder(directory: string): number | undefined {
  const text = readIfThere(join(resolve(directory), 'server.lock'));
  return text === undefined ? undefined : liveHolder(text);
}

/** Reads a secret kept in the data directory, or undefined when there is none. */
export function readSecret(directory: string, name: string): string | undefined {
  return readIfThere(join(directory, name))?.trim() || undefined;
}

/** Keeps a secret so that only its owner can read it; replaces an earlier one in one step. */
export function writeSecret(directory: string, name: string, secret: string): void {
  const path = join(directory, name);
  const fresh = `${path}.${randomBytes(4).toString('hex')}`;
  writeFileSync(fresh, `${secret}\n`, { mode: 0o600, flush: true });
  renameSync(fresh, path);
}

export function removeSecret(directory: string, name: string): void {
  rmSync(join(directory, name), { force: true });
}

function takeLock(path: string, lock: string, mine: string): void {
  const fresh = `${lock}.${process.pid}`;
  try {
    writeFileSync(fresh, mine, { mode: 0o600 });
    // A link appears with its content and fails if the name is taken: no reader ever sees half a lock.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if (tryLink(fresh, lock)) return;
      const held = readIfThere(lock);
      if (held === undefined) continue;
      const holder = liveHolder(held);
      if (holder !== undefined) throw inUse(path, holder);
      discardStale(lock, held);
    }
    throw inUse(path, undefined);
  } catch (error) {
    if (error instanceof StartFailure) throw error;
    throw new StartFailure(
      'data_directory_unusable',
      `The data directory ${path} cannot be locked: ${messageOf(error)}.`,
      'Set BATON_DATA_DIR to a directory that this user may write, with space left.',
      error,
    );
  } finally {
    rmSync(fresh, { force: true });
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a dead server's lock away; if another starter was faster and it is already a new one, puts it back. */
function discardStale(lock: string, stale: string): void {
  const aside = `${lock}.stale.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (readIfThere(aside) !== stale) tryLink(aside, lock);
  rmSync(aside, { force: true });
}

function liveHolder(text: string): number | undefined {
  const [pidText, birth] = text.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid < 1 || !isProcessRunning(pid)) return undefined;
  const seen = processBirth(pid);
  return birth === undefined || seen === undefined || birth === seen ? pid : undefined;
}

function inUse(path: string, holder: number | undefined): StartFailure {
  const who = holder === undefined ? 'another Baton server' : `the Baton server with process id ${holder}`;
  return new StartFailure(
    'data_directory_in_use',
    `The data directory ${path} is in use by ${who}.`,
    'Stop that server first, or start this one with another BATON_DATA_DIR (and PORT).',
  );
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
