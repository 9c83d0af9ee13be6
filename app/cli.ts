import { readdirSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { z } from 'zod';
import { RemoteFailure } from './remote/api.ts';
import { messageOf, StartFailure } from './start-failure.ts';
import { UsageError } from './usage-error.ts';
import { readVersion } from './version.ts';

/** What a finished command tells the shell. */
const EXIT = { failed: 1, usage: 2 } as const;

/** A file in cli/ is a command: it exports `register`, and nothing else has to be told of it. */
const commandModule = z.object({
  register: z.custom<(program: Command) => void>((value) => typeof value === 'function'),
});

async function buildProgram(): Promise<Command> {
  const program = new Command('baton')
    .description('Real-time assignment engine for human annotation and ML evaluation.')
    .version(readVersion())
    .showHelpAfterError('(add --help for what there is)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  $ baton serve                                    start a server, with a database of its own, on port 3000
  $ baton import tasks.jsonl --project reviews     give it tasks
  $ baton token create ann --name "Ann"            a token for an annotator
  $ baton export --project reviews --out done.csv --format csv

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
    );
  const folder = new URL('./cli/', import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  for (const name of names.sort()) {
    const loaded: unknown = await import(new URL(name, folder).href);
    commandModule.parse(loaded).register(program);
  }
  // Subcommands do not inherit it, and without it a wrong option would exit with 1.
  for (const command of descendants(program))
    command.exitOverride().showHelpAfterError('(add --help for what there is)');
  return program;
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
  if (error instanceof UsageError) {
    process.stderr.write(`error: ${error.message}\n`);
    return EXIT.usage;
  }
  if (error instanceof StartFailure) {
    process.stderr.write(`error: ${error.message}\n${error.remedy}\n`);
    return EXIT.failed;
  }
  const isExpected = error instanceof RemoteFailure;
  process.stderr.write(
    `error: ${isExpected || !(error instanceof Error) ? messageOf(error) : error.stack}\n`,
  );
  return EXIT.failed;
}

// A reader that has seen enough (`baton export | head`) is no failure of ours, and no reason for a server to end.
process.stdout.on('error', (error) => {
  if (process.argv[2] === 'serve') return;
  process.exit('code' in error && error.code === 'EPIPE' ? 0 : EXIT.failed);
});

try {
  await (await buildProgram()).parseAsync(process.argv);
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
