import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { openDataDirectory } from '../app/data-directory.ts';
import { migrate } from '../app/migrate.ts';
import { startEmbeddedPostgres } from '../app/postgres/index.ts';

const TEMPLATE = 'bench_template';

export interface BenchCluster {
  /** The postmaster. */
  readonly pid: number;
  readonly version: string;
  /** Makes a migrated, empty database. @returns its URL. */
  createDatabase(name: string): Promise<string>;
  dropDatabase(name: string): Promise<void>;
  /** Writes what is dirty now, so that it does not fall into a measured window. */
  checkpoint(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * The embedded Postgres as `npm start` runs it, in a temporary directory: durable, with the settings of the
 * product. Only the number of connections is raised, for suites that run several engines at once.
 *
 * @throws Error when it turns out not to be durable: such figures would be of something else.
 */
export async function startBenchCluster(): Promise<BenchCluster> {
  const place = mkdtempSync(join(tmpdir(), 'baton-bench-'));
  chmodSync(place, 0o711);
  const directory = openDataDirectory(place);
  const postgres = await startEmbeddedPostgres({
    dataDirectory: directory.path,
    settings: { max_connections: '150' },
  });
  const urlOf = (database: string): string => {
    const url = new URL(postgres.url);
    url.pathname = `/${database}`;
    return url.href;
  };
  const stop = async (): Promise<void> => {
    await postgres.stop();
    directory.release();
    rmSync(directory.path, { recursive: true, force: true });
  };
  const administer = async (statement: string): Promise<void> => {
    await ask(urlOf('postgres'), statement);
  };
  try {
    await administer(`create database ${TEMPLATE}`);
    await migrate(urlOf(TEMPLATE));
    return {
      pid: postgres.pid,
      version: await assertDurable(urlOf('postgres')),
      async createDatabase(name) {
        await administer(`create database ${name} template ${TEMPLATE}`);
        return urlOf(name);
      },
      dropDatabase: (name) => administer(`drop database ${name} with (force)`),
      checkpoint: () => administer('checkpoint'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assertDurable(url: string): Promise<string> {
  const [settings] = await ask<{ fsync: string; commit: string; version: string }>(
    url,
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
            current_setting('server_version') as version`,
  );
  if (settings?.fsync !== 'on' || settings.commit !== 'on') throw new Error('this Postgres is not durable');
  return settings.version;
}

async function ask<Row extends pg.QueryResultRow>(url: string, statement: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}
