import knex, { type Knex } from 'knex';
import pg from 'pg';

export type Database = Knex;
export type Transaction = Knex.Transaction;

const INT8 = 20;

/** Knex prints failures, statements included, to the console by itself. Whoever called has the exception. */
const SILENT = { warn: ignore, error: ignore, deprecate: ignore, debug: ignore };

/**
 * Opens a pool. bigint columns come back as numbers: all of ours are ids, sequence numbers and counts, far below
 * 2^53, and a value that is not throws instead of being rounded.
 *
 * @param poolMax connections at most. The commit loop has a pool of its own (see commit-store), so a flood of
 *   admin queries cannot hold up a lease.
 * @param pipeline sends a query without waiting for the answer to the one before it on the same connection.
 */
export function openDatabase(args: {
  url: string;
  poolMax: number;
  applicationName: string;
  onConnect?: string;
  pipeline?: boolean;
}): Database {
  const connection: Knex.PgConnectionConfig & { pipeline: boolean } = {
    connectionString: args.url,
    application_name: args.applicationName,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    pipeline: args.pipeline ?? false,
    types: { getTypeParser },
  };
  return knex({
    client: 'pg',
    // Knex would put the bindings, which are people's data, into the messages of errors.
    compileSqlOnError: false,
    log: SILENT,
    connection,
    pool: {
      min: 0,
      max: args.poolMax,
      acquireTimeoutMillis: 10_000,
      afterCreate: (connection: pg.Client, done: (error: Error | null, connection: pg.Client) => void) => {
        if (args.onConnect === undefined) return done(null, connection);
        connection.query(args.onConnect, (error) => done(error, connection));
      },
    },
  });
}

/** pg asks for a parser by column type and format. */
function getTypeParser(oid: number, format: string): (value: string) => unknown {
  if (oid === INT8 && format !== 'binary') return safeBigint;
  return format === 'binary' ? pg.types.getTypeParser(oid, 'binary') : pg.types.getTypeParser(oid, 'text');
}

function safeBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint out of range: ${text}`);
  return value;
}

function ignore(): void {
  // Said by the exception instead.
}
