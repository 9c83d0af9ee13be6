import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { openDataDirectory } from '../data-directory.ts';
import { provideDatabase } from '../database.ts';
import { migrate } from '../migrate.ts';

export function register(program: Command): void {
  program
    .command('migrate')
    .description(
      'Bring the database to the schema of this release, and stop. `serve` does it by itself at start.',
    )
    .option('--json', 'print {applied: [...]} as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ baton migrate
  $ DATABASE_URL=postgres://baton:secret@db:5432/baton baton migrate --json`,
    )
    .action(run);
}

async function run(options: { json?: boolean }): Promise<void> {
  const config = readConfig(process.env);
  const directory = openDataDirectory(config.dataDirectory);
  try {
    const database = await provideDatabase(config, directory.path);
    try {
      const applied = await migrate(database.url);
      if (options.json === true) process.stdout.write(`${JSON.stringify({ applied })}\n`);
      else
        process.stdout.write(
          applied.length === 0 ? 'The schema is up to date.\n' : `Applied ${applied.join(', ')}.\n`,
        );
    } finally {
      await database.stop();
    }
  } finally {
    directory.release();
  }
}
