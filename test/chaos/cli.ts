import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { ensureRedis } from '../support/redis.ts';
import { type CampaignOptions, DEFAULT_PLACES, runCampaign } from './campaign.ts';
import { DEFAULT_PACE } from './fault-schedule.ts';
import { reportOf, reportText } from './report.ts';

const USAGE_ERROR = 2;
const INTERRUPTED = 130;
const MINUTE_MS = 60_000;
const PROGRESS_MS = 30_000;

/** A fault campaign from the command line. */
const program = new Command('chaos')
  .description(
    'Starts a cluster of real processes on a Postgres and a Redis of its own, lets people work in it while things go wrong at\n' +
      'random, lets everything be done after that, and checks that nothing was lost, done twice, or ended early.',
  )
  .option('--minutes <number>', 'how long things go wrong', between(0.1, 24 * 60), 5)
  .option('--seed <number>', 'decides which faults happen, to whom and when', between(0, 2 ** 32 - 1), 1)
  .option('--people <number>', 'annotators', between(2, 500), 30)
  .option('--drain <seconds>', 'all is to be done so long after the last fault', between(1, 3_600), 120)
  .option('--json <file>', 'writes the report there, too')
  .option(
    '--keep <directory>',
    'where histories and logs are written and stay; without it only after violations',
  )
  .addHelpText(
    'after',
    '\nExit code 0: everything holds. 1: it does not, or the campaign itself failed, which is said. 2: wrong arguments.\n' +
      'The seed decides on the faults; what they meet depends on the machine, so a run is alike, not the same, when repeated.',
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE_ERROR))
  .parse();

const given = program.opts<{
  minutes: number;
  seed: number;
  people: number;
  drain: number;
  json?: string;
  keep?: string;
}>();

const startedMs = performance.now();
const directory =
  given.keep === undefined ? mkdtempSync(join(tmpdir(), 'baton-chaos-')) : resolve(given.keep);
const options: CampaignOptions = {
  seed: given.seed,
  faultsMs: given.minutes * MINUTE_MS,
  people: given.people,
  pace: DEFAULT_PACE,
  drainMs: given.drain * 1_000,
  places: DEFAULT_PLACES,
  directory,
  say,
  progressMs: PROGRESS_MS,
};
// At the exit every process of the campaign is killed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(INTERRUPTED));
process.exitCode = await run();

async function run(): Promise<number> {
  try {
    ensureRedis();
    const result = await runCampaign(options);
    const report = reportOf(options, result);
    process.stdout.write(reportText(report));
    if (given.json !== undefined) writeFileSync(given.json, `${JSON.stringify(report, undefined, 2)}\n`);
    const failed = report.violations.length > 0;
    if (failed || given.keep !== undefined) say(`histories and logs are in ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
    return failed ? 1 : 0;
  } catch (error) {
    process.stderr.write(
      `the campaign itself failed: ${error instanceof Error ? error.stack : String(error)}\nits histories and logs are in ${directory}\n`,
    );
    return 1;
  }
}

function say(line: string): void {
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0).padStart(5);
  process.stderr.write(`${seconds} s  ${line}\n`);
}

function between(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`give a number from ${low} to ${high}`);
  };
}
