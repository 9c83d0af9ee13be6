import { writeFileSync } from 'node:fs';
import { arch, availableParallelism, platform, totalmem } from 'node:os';
import { Command, CommanderError } from 'commander';
import { startBenchCluster } from './postgres.ts';
import { formatReport } from './print.ts';
import { isMet, type Suite, type SuiteReport } from './suite.ts';
import { clusterSuite } from './suites/cluster.ts';
import { engineSuite } from './suites/engine.ts';
import { memorySuite } from './suites/memory.ts';
import { pickingSuite } from './suites/picking.ts';
import { socketsSuite } from './suites/sockets.ts';

const SUITES: readonly Suite[] = [engineSuite, socketsSuite, pickingSuite, memorySuite, clusterSuite];
const EXIT = { failed: 1, usage: 2 } as const;

interface Options {
  readonly json?: string;
  readonly quick?: boolean;
  readonly strict?: boolean;
}

function buildProgram(): Command {
  return new Command('bench')
    .description(
      'Measures Baton on this machine, against an embedded, durable Postgres in a temporary directory.',
    )
    .argument(
      '[name...]',
      `what to measure: ${SUITES.map((suite) => suite.name).join(', ')}; all if none is named`,
    )
    .option('--json <file>', 'write the figures to this file too')
    .option('--quick', 'small sizes and short windows: to see that it runs, not to quote')
    .option('--strict', 'exit with 1 when a goal is missed')
    .showHelpAfterError('(add --help for what there is)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Suites:
${SUITES.map((suite) => `  ${suite.name.padEnd(9)} ${suite.about}`).join('\n')}

Examples:
  $ npm run bench -- engine
  $ npm run bench -- picking memory --json figures.json

Figures depend on the machine and on what else it does: compare within one run. docs/benchmarks.md says how they are
taken and what they do not say.`,
    )
    .action(async (names: string[], options: Options, command: Command) => {
      const unknown = names.filter((name) => !SUITES.some((suite) => suite.name === name));
      if (unknown.length > 0)
        command.error(`error: no suite ${unknown.join(', ')}`, { exitCode: EXIT.usage });
      const chosen = names.length === 0 ? SUITES : SUITES.filter((suite) => names.includes(suite.name));
      await runSuites(chosen, options);
    });
}

async function runSuites(suites: readonly Suite[], options: Options): Promise<void> {
  const quick = options.quick ?? false;
  const starting = startBenchCluster();
  const interrupted = onInterrupt(async () => (await starting).stop());
  const cluster = await starting;
  try {
    const machine = describeMachine(cluster.version);
    process.stdout.write(`${Object.values(machine).join(', ')}${quick ? ', quick' : ''}\n`);
    const results: (SuiteReport & { name: string; seconds: number })[] = [];
    for (const suite of suites) {
      process.stdout.write(`\n${suite.name}: ${suite.about}\n`);
      const startedMs = performance.now();
      const say = (line: string): void => void process.stderr.write(`  ${line}\n`);
      const report = await suite.run({ cluster, quick, say });
      const seconds = Math.round((performance.now() - startedMs) / 1_000);
      results.push({ name: suite.name, seconds, ...report });
      process.stdout.write(`${formatReport(report)}\n`);
      // Written after each suite: hours of figures are not lost with the last one.
      if (options.json !== undefined) {
        writeFileSync(options.json, `${JSON.stringify({ machine, quick, suites: results }, null, 2)}\n`);
      }
    }
    const missed = results.flatMap((result) => result.goals).filter((goal) => !isMet(goal));
    if (options.strict && missed.length > 0) process.exitCode = EXIT.failed;
  } finally {
    interrupted.forget();
    await cluster.stop();
  }
}

/** Without this, Ctrl-C would leave the Postgres of the bench running. */
function onInterrupt(cleanUp: () => Promise<void>): { forget(): void } {
  const end = (): void => {
    // Whatever was being measured loses its database now, and its complaints mean nothing any more.
    process.on('uncaughtException', () => undefined);
    void cleanUp().finally(() => process.exit(EXIT.failed));
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, end);
  return {
    forget: () => {
      for (const signal of signals) process.off(signal, end);
    },
  };
}

function describeMachine(postgres: string): Record<string, string> {
  return {
    cpus: `${availableParallelism()} CPUs`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    system: `${platform()} ${arch()}`,
    node: `Node ${process.versions.node}`,
    postgres: `Postgres ${postgres} on the same machine, fsync and synchronous_commit on`,
  };
}

try {
  await buildProgram().parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
}
