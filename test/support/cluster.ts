import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataDirectoryHolder, openDataDirectory } from '../../app/data-directory.ts';
import { startEmbeddedPostgres, stopLeftPostgres } from '../../app/postgres/index.ts';
import { systemErrorCode } from '../../app/start-failure.ts';

const PREFIX = 'baton-test-';
const STOP_TIMEOUT_MS = 5_000;

export interface TestCluster {
  readonly url: string;
  readonly pid: number;
  readonly port: number;
  /** Its data directory, as `startEmbeddedPostgres` takes it. */
  readonly directory: string;
  stop(): Promise<void>;
}

/**
 * A Postgres of its own in a temporary directory, gone after `stop()`. `durable: true` for tests that kill it and
 * look at what survived; others run without fsync.
 */
export async function startTestCluster(options: { durable?: boolean } = {}): Promise<TestCluster> {
  const place = temporaryDirectory();
  const directory = openDataDirectory(place);
  const postgres = await startEmbeddedPostgres({
    dataDirectory: directory.path,
    durable: options.durable ?? false,
    settings: { max_connections: '200', shared_buffers: '64MB' },
  });
  return {
    url: postgres.url,
    pid: postgres.pid,
    port: postgres.port,
    directory: directory.path,
    async stop() {
      await postgres.stop(STOP_TIMEOUT_MS);
      directory.release();
      rmSync(directory.path, { recursive: true, force: true });
    },
  };
}

/** A fresh directory that Postgres can reach also under root. Its maker removes it. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), PREFIX));
  chmodSync(path, 0o711);
  return path;
}

/** Clears away what test runs that were killed left behind: their Postgres, then their directory. */
export async function sweepLeftClusters(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(tmpdir(), name);
    if (!isLeftBehind(path)) continue;
    await stopLeftPostgres(path, STOP_TIMEOUT_MS);
    rmSync(path, { recursive: true, force: true });
  }
}

/** Without a lock it may be one that is being made at this moment, or holds nothing: both are left alone. */
function isLeftBehind(path: string): boolean {
  try {
    return readdirSync(path).includes('server.lock') && dataDirectoryHolder(path) === undefined;
  } catch (error) {
    // Another user's, or gone by now.
    if (['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}
