import type { Knex } from 'knex';

/**
 * For developers who run the Knex command line against a database of their own:
 * `DATABASE_URL=... node --import tsx node_modules/knex/bin/cli.js migrate:list`. Baton itself migrates at start.
 */
const config: Knex.Config = {
  client: 'pg',
  connection: process.env.DATABASE_URL ?? 'postgres://127.0.0.1:5432/baton',
  migrations: {
    directory: './migrations',
    loadExtensions: ['.ts'],
    extension: 'ts',
  },
};

export default config;
