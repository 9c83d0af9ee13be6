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
      refuseNewer(before);
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

/** Which migrations a database has had. @throws what the connection throws. */
export async function readSchemaState(database: Database): Promise<SchemaState> {
  const known = await source.getMigrations();
  const hasTable = await database.schema.hasTable('knex_migrations');
  const rows = hasTable
    ? await database<{ name: string }>('knex_migrations').select('name').orderBy('id')
    : [];
  const applied = rows.map((row) => row.name);
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
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

function refuseNewer(state: SchemaState): void {
  if (state.unknown.length === 0) return;
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
