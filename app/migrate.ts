import { type Database, openDatabase } from '../engine/store/database.ts';
import { MIGRATIONS } from './migrations.ts';
import { messageOf, StartFailure } from './start-failure.ts';

/** Older ones lack what the schema and its queries use. */
const SERVER_VERSION_MIN = 150_000;
/** Any number; the same in every Baton, so that two of them do not migrate one database at once. */
const MIGRATION_LOCK = 4_217_001;

const source = {
  getMigrations: async (): Promise<string[]> => Object.keys(MIGRATIONS).sort(),
  getMigrationName: (name: string): string => name,
  getMigration: async (name: string) => {
    const migration = MIGRATIONS[name];
    if (migration === undefined) throw new RangeError(`no migration ${name}`);
    return migration;
  },
};

export interface SchemaState {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied by a later Baton: this one does not know them. */
  readonly unknown: readonly string[];
  /** They only added to what this one uses, so it can go on beside the later one while a deploy is under way. */
  readonly isUsable: boolean;
}

/**
 * Brings a database to the schema of this Baton.
 *
 * @returns the names of the migrations that were run; none when it was up to date.
 * @throws StartFailure database_newer, database_foreign, database_unreachable, database_unsupported, migration_failed
 */
export async function migrate(url: string): Promise<readonly string[]> {
  const database = openDatabase({ url, poolMax: 2, applicationName: 'baton-migrate' });
  try {
    await checkServer(database);
    return await database.transaction(async (transaction) => {
      await transaction.raw('select pg_advisory_xact_lock(?)', [MIGRATION_LOCK]);
      const before = await readSchemaState(database);
      refuseUnusable(before);
      if (before.pending.length === 0) return [];
      // We hold the lock above, so a lock that Knex finds was left by a migration that was killed.
      await database.migrate.forceFreeMigrationsLock({ migrationSource: source });
      await run(database);
      return before.pending;
    });
  } finally {
    await database.destroy();
  }
}

/**
 * For a node that must not change the schema itself (BATON_MIGRATE=0).
 *
 * @throws StartFailure database_older, database_newer, database_foreign, database_unreachable, database_unsupported
 */
export async function requireSchema(url: string): Promise<void> {
  const database = openDatabase({ url, poolMax: 1, applicationName: 'baton-migrate' });
  try {
    await checkServer(database);
    const state = await readSchemaState(database);
    refuseUnusable(state);
    if (state.pending.length === 0) return;
    const isEmpty = state.applied.length === 0;
    throw new StartFailure(
      'database_older',
      isEmpty
        ? 'The database has no schema of Baton: it is another one, or a new one.'
        : `The database has the schema of an older Baton: it lacks ${state.pending.join(', ')}.`,
      'See that DATABASE_URL names the right database, and run `baton migrate`, or set BATON_MIGRATE=1.',
    );
  } finally {
    await database.destroy();
  }
}

/** Which migrations a database has had. @throws what the connection throws. */
export async function readSchemaState(database: Database): Promise<SchemaState> {
  const known = await source.getMigrations();
  const hasTable = await database.schema.hasTable('knex_migrations');
  const rows = hasTable
    ? await database<{ name: string }>('knex_migrations').select('name').orderBy('id')
    : [];
  const applied = rows.map((row) => row.name);
  const unknown = applied.filter((name) => !known.includes(name));
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown,
    isUsable: unknown.length === 0 || known.includes(await neededMigration(database)),
  };
}

async function neededMigration(database: Database): Promise<string> {
  if (!(await database.schema.hasColumn('cluster', 'needs_migration'))) return '';
  const row = await database<{ needs_migration: string }>('cluster').first('needs_migration');
  return row?.needs_migration ?? '';
}

async function checkServer(database: Database): Promise<void> {
  let version: number;
  try {
    const { rows } = await database.raw<{ rows: { version: string }[] }>(
      `select current_setting('server_version_num') as version`,
    );
    version = Number(rows[0]?.version);
  } catch (error) {
    throw new StartFailure(
      'database_unreachable',
      `The database cannot be reached: ${messageOf(error)}.`,
      'Check that it runs, and that DATABASE_URL has the right host, port, user, password and database.',
      error,
    );
  }
  if (version < SERVER_VERSION_MIN) {
    throw new StartFailure(
      'database_unsupported',
      `The database server is of version ${Math.floor(version / 10_000)}; Baton needs Postgres 15 or later.`,
      'Upgrade it, or leave DATABASE_URL unset to use the embedded Postgres.',
    );
  }
}

function refuseUnusable(state: SchemaState): void {
  if (state.isUsable) return;
  throw new StartFailure(
    'database_newer',
    `The database was last used by a newer Baton: this one does not know ${state.unknown.join(', ')}.`,
    'Start it with that Baton or a later one, or use another database (BATON_DATA_DIR or DATABASE_URL).',
  );
}

async function run(database: Database): Promise<void> {
  try {
    await database.migrate.latest({ migrationSource: source });
  } catch (error) {
    const isTaken = error instanceof Error && 'code' in error && error.code === '42P07';
    if (isTaken) {
      throw new StartFailure(
        'database_foreign',
        'The database holds tables that Baton did not make, by names that it needs.',
        'Give Baton a database of its own.',
        error,
      );
    }
    throw new StartFailure(
      'migration_failed',
      `The database could not be brought up to date: ${messageOf(error)}.`,
      'Nothing was changed: a migration is one transaction. Mend the cause and start again.',
      error,
    );
  }
}
