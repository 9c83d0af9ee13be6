import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type DataDirectory, openDataDirectory } from '../../app/data-directory.ts';
import { migrate, requireSchema } from '../../app/migrate.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres, stopLeftPostgres } from '../../app/postgres/index.ts';
import { isProcessRunning } from '../../app/processes.ts';
import { temporaryDirectory } from '../support/cluster.ts';
import { createTestDatabase } from '../support/database.ts';

const opened: DataDirectory[] = [];

function newDataDirectory(): string {
  const directory = openDataDirectory(temporaryDirectory());
  opened.push(directory);
  return directory.path;
}

function start(dataDirectory: string): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDirectory });
}

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end();
  }
}

afterEach(async () => {
  for (const directory of opened.splice(0)) {
    await stopLeftPostgres(directory.path);
    directory.release();
    rmSync(directory.path, { recursive: true, force: true });
  }
});

describe('an embedded Postgres', () => {
  test('is durable, listens on loopback only, and finds its rows after a stop', async () => {
    const directory = newDataDirectory();
    const first = await start(directory);
    expect(
      await query(first.url, `select current_setting('fsync') || current_setting('synchronous_commit')`),
    ).toEqual(['onon']);
    expect(await query(first.url, `select current_setting('listen_addresses')`)).toEqual(['127.0.0.1']);
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    await first.stop();
    await vi.waitFor(() => expect(isProcessRunning(first.pid)).toBe(false));

    const second = await start(directory);
    expect(second).toMatchObject({ adopted: false, port: first.port });
    expect(await query(second.url, 'select answer from kept')).toEqual([42]);
  });

  test('keeps its password from others', async () => {
    const directory = newDataDirectory();
    await start(directory);
    expect(statSync(join(directory, 'postgres-password')).mode & 0o077).toBe(0);
    expect(statSync(join(directory, 'postgres')).mode & 0o077).toBe(0);
    expect(existsSync(join(directory, 'postgres-password.initdb'))).toBe(false);
  });

  test('is adopted when it still runs', async () => {
    const directory = newDataDirectory();
    const first = await start(directory);
    const second = await start(directory);
    expect(second).toMatchObject({ adopted: true, pid: first.pid, url: first.url });
    await second.stop();
    // The end is told by postmaster.pid, which it removes a moment before the process is gone.
    await vi.waitFor(() => expect(isProcessRunning(first.pid)).toBe(false));
  });

  test('recovers after kill -9, in spite of its stale postmaster.pid', async () => {
    const directory = newDataDirectory();
    const first = await start(directory);
    await query(first.url, 'create table kept as select generate_series(1, 1000) as n');
    process.kill(first.pid, 'SIGKILL');
    await vi.waitFor(() => expect(isProcessRunning(first.pid)).toBe(false));
    expect(existsSync(join(directory, 'postgres', 'postmaster.pid'))).toBe(true);

    const second = await start(directory);
    expect(second.adopted).toBe(false);
    expect(await query(second.url, 'select count(*)::int from kept')).toEqual([1000]);
  });

  test('starts when another program has the process id of its stale postmaster.pid', async () => {
    const directory = newDataDirectory();
    const first = await start(directory);
    const file = join(directory, 'postgres', 'postmaster.pid');
    const lines = readFileSync(file, 'utf8').split('\n');
    await first.stop();
    writeFileSync(file, [process.pid, ...lines.slice(1)].join('\n'));
    expect((await start(directory)).adopted).toBe(false);
    expect(isProcessRunning(process.pid)).toBe(true);
  });

  test('refuses a data directory of a newer or older Postgres, and one that it did not make', async () => {
    const directory = newDataDirectory();
    mkdirSync(join(directory, 'postgres'));
    const refusal = (): Promise<unknown> => start(directory).catch((error: unknown) => error);
    expect(await refusal()).toMatchObject({ code: 'data_directory_unusable' });
    writeFileSync(join(directory, 'postgres', 'PG_VERSION'), '19\n');
    expect(await refusal()).toMatchObject({
      code: 'data_directory_newer',
      message: expect.stringContaining('Postgres 19'),
    });
    writeFileSync(join(directory, 'postgres', 'PG_VERSION'), '12\n');
    expect(await refusal()).toMatchObject({ code: 'data_directory_older' });
  });

  test('is made anew when its making was interrupted', async () => {
    const directory = newDataDirectory();
    mkdirSync(join(directory, 'postgres.unfinished'));
    writeFileSync(join(directory, 'postgres.unfinished', 'PG_VERSION'), '18\n');
    expect(await query((await start(directory)).url, 'select 1')).toEqual([1]);
  });

  test('says what is wrong when its files are damaged', async () => {
    const directory = newDataDirectory();
    await (await start(directory)).stop();
    writeFileSync(join(directory, 'postgres', 'global', 'pg_control'), 'nonsense');
    const failure: unknown = await start(directory).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'postgres_failed',
      remedy: expect.stringContaining('postgres.log'),
    });
  });
});

describe('a data directory', () => {
  test('is refused to a second server, and free again after the first', () => {
    const directory = openDataDirectory(temporaryDirectory());
    opened.push(directory);
    expect(() => openDataDirectory(directory.path)).toThrow(
      `in use by the Baton server with process id ${process.pid}`,
    );
    directory.release();
    const again = openDataDirectory(directory.path);
    again.release();
  });

  test('is taken over from a server that is gone, also when its process id lives on in another', () => {
    const path = temporaryDirectory();
    for (const stale of ['2147483646 1\n', `${process.pid} 1\n`, 'nonsense', '']) {
      writeFileSync(join(path, 'server.lock'), stale);
      openDataDirectory(path).release();
    }
    rmSync(path, { recursive: true });
  });
});

describe('migrations', () => {
  test('refuse the database of a newer Baton that took something away; beside one that only added they go on', async () => {
    const database = await createTestDatabase();
    await query(
      database.url,
      `insert into knex_migrations (name, batch) values ('20991231000000_future.ts', 9)`,
    );
    expect(await migrate(database.url)).toEqual([]);
    await requireSchema(database.url);
    await query(database.url, `update cluster set needs_migration = '20991231000000_future.ts'`);
    await expect(requireSchema(database.url)).rejects.toMatchObject({ code: 'database_newer' });
    await expect(migrate(database.url)).rejects.toMatchObject({
      code: 'database_newer',
      message: expect.stringContaining('20991231000000_future.ts'),
    });
    await database.drop();
  });

  test('are not run by a node that must not: it says what is missing', async () => {
    const database = await createTestDatabase();
    await requireSchema(database.url);
    await query(database.url, `delete from knex_migrations where name like '%schema_needs%'`);
    await expect(requireSchema(database.url)).rejects.toMatchObject({
      code: 'database_older',
      message: expect.stringContaining('schema_needs'),
    });
    await query(database.url, 'drop schema public cascade');
    await query(database.url, 'create schema public');
    await expect(requireSchema(database.url)).rejects.toMatchObject({
      code: 'database_older',
      message: expect.stringContaining('no schema of Baton'),
    });
    await database.drop();
  });

  test('refuse a database with tables of another program', async () => {
    const database = await createTestDatabase();
    await query(database.url, 'drop table knex_migrations, knex_migrations_lock');
    await expect(migrate(database.url)).rejects.toMatchObject({ code: 'database_foreign' });
    await database.drop();
  });

  test('go on after one that was killed left its lock, and run once when two start together', async () => {
    const database = await createTestDatabase();
    await query(database.url, 'drop schema public cascade');
    await query(database.url, 'create schema public');
    const both = await Promise.all([migrate(database.url), migrate(database.url)]);
    expect(both.map((applied) => applied.length).sort()).toEqual([0, expect.any(Number)]);
    await query(database.url, 'drop schema public cascade');
    await query(database.url, 'create schema public');
    await query(database.url, 'create table knex_migrations_lock (index serial primary key, is_locked int)');
    await query(database.url, 'insert into knex_migrations_lock (is_locked) values (1)');
    expect(await migrate(database.url)).not.toEqual([]);
    await database.drop();
  });

  test('say it when the database is not there', async () => {
    await expect(migrate('postgres://nobody:x@127.0.0.1:1/none')).rejects.toMatchObject({
      code: 'database_unreachable',
    });
  });
});
