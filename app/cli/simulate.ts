import { type Command, InvalidArgumentError, Option } from 'commander';
import { connectRemote, type RemoteOptions, withRemoteOptions } from '../remote/connect.ts';
import { type Progress, startProgress } from '../remote/progress.ts';
import { HABITS, STEADY_HABITS } from '../simulate/person.ts';
import { readRecording } from '../simulate/replay.ts';
import { type SimulationEnd, type SimulationSummary, simulate } from '../simulate/run.ts';
import { UsageError } from '../usage-error.ts';

const ANNOTATORS_MAX = 2_000;
const SPEED_MAX = 100_000;
const SEED_MAX = 2_147_483_647;

interface SimulateOptions extends RemoteOptions {
  readonly project: string;
  readonly annotators?: number;
  readonly speed: number;
  readonly arrivals?: number;
  readonly seed: number;
  readonly minutes?: number;
  readonly replay?: string;
  readonly strict?: boolean;
  readonly steady?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  withRemoteOptions(program.command('simulate'))
    .description(
      'Let simulated annotators work in a project: they come and go, think, skip, and lose their connection.',
    )
    .requiredOption('--project <slug>', 'the project')
    .addOption(
      new Option('--annotators <number>', 'how many people (default: 20, or all of the recording)').argParser(
        within(1, ANNOTATORS_MAX, true),
      ),
    )
    .addOption(
      new Option('--speed <factor>', 'how much faster than real people')
        .argParser(within(0.01, SPEED_MAX))
        .default(60),
    )
    .addOption(
      new Option(
        '--arrivals <number>',
        'new people per simulated hour (default: all within about ten minutes, or as recorded)',
      ).argParser(within(0.001, 1_000_000)),
    )
    .addOption(
      new Option('--seed <number>', 'the same people again').argParser(within(0, SEED_MAX, true)).default(1),
    )
    .addOption(
      new Option(
        '--minutes <number>',
        'real minutes after which to stop (default: when the project is done)',
      ).argParser(within(0.01, 100_000)),
    )
    .option(
      '--replay <file>',
      'give the judgments of this JSONL file: {task, worker, value, seconds?} a line',
    )
    .option('--strict', 'with --replay: skip what a worker never judged, instead of making up an answer')
    .option('--steady', 'nobody skips, gives back, walks away or loses the connection')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ baton simulate --project pandalm --annotators 50 --speed 200 --minutes 1
  $ baton simulate --project pandalm --replay samples/pandalm/annotations.jsonl --speed 1000

The people are made as annotators (sim-001 ..., or the names in the recording) with tokens that are worthless afterwards.
Thinking times and sessions are like those measured of real people. Ctrl-C gives back what is in hand, and sums up.`,
    )
    .action(run);
}

async function run(options: SimulateOptions): Promise<void> {
  if (options.strict === true && options.replay === undefined)
    throw new UsageError('--strict needs --replay');
  const api = connectRemote(options);
  const recording = options.replay === undefined ? undefined : await readRecording(options.replay);
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  // Once only: a second Ctrl-C ends the process in the usual way.
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  let progress: Progress | undefined;
  try {
    const summary = await simulate({
      api,
      project: options.project,
      annotators: options.annotators,
      speed: options.speed,
      arrivalsPerHour: options.arrivals,
      seed: options.seed,
      minutesMax: options.minutes,
      habits: options.steady === true ? STEADY_HABITS : HABITS,
      recording,
      strict: options.strict === true,
      signal: stop.signal,
      onProgress: ({ done, total }) => {
        progress ??= startProgress({ label: 'simulate', total, unit: 'answers' });
        progress.update(done);
      },
    });
    progress?.stop();
    process.stdout.write(options.json === true ? `${JSON.stringify(summary)}\n` : describe(summary));
  } finally {
    progress?.stop();
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }
}

const ENDS: Readonly<Record<SimulationEnd, string>> = {
  complete: 'The project is done.',
  nothing_left:
    'Nothing is left for these annotators; the rest needs others, or somebody who looks at held tasks.',
  time: 'Time is up.',
  stopped: 'Stopped.',
};

function describe(summary: SimulationSummary): string {
  const { tasks, requestMs, submitMs } = summary;
  const rows: [string, string][] = [
    ['tasks', `${tasks.complete} of ${tasks.total} complete, ${tasks.waiting} waiting, ${tasks.held} held`],
    [
      'submitted',
      `${summary.submitted} (${summary.late} late, ${summary.surplus} surplus), ${summary.drafts} drafts`,
    ],
    ['given back', `${summary.skipped} skipped, ${summary.released} released`],
    [
      'leases lost',
      `${summary.abandoned} abandoned, ${summary.expired} expired; noticed by their holders: ${list(summary.lost)}`,
    ],
    ['reassigned', `${summary.reassigned} tasks that others had held before`],
    ['connects', `${summary.connects} by ${summary.annotators} annotators`],
    ['request', latency(requestMs)],
    ['submit', latency(submitMs)],
    ['errors', list(summary.errors)],
  ];
  const lines = rows.map(([label, text]) => `  ${label.padEnd(12)} ${text}`);
  return `${ENDS[summary.ended]} ${summary.project}, ${summary.seconds} s, seed ${summary.seed}\n${lines.join('\n')}\n`;
}

function latency({ count, p50, p99 }: SimulationSummary['requestMs']): string {
  return count === 0 ? 'none' : `p50 ${p50} ms, p99 ${p99} ms (${count})`;
}

function list(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  return entries.length === 0 ? 'none' : entries.map(([name, count]) => `${count} ${name}`).join(', ');
}

function within(min: number, max: number, isWhole = false): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= min && value <= max && (!isWhole || Number.isInteger(value)))
      return value;
    throw new InvalidArgumentError(`It must be a ${isWhole ? 'whole ' : ''}number from ${min} to ${max}.`);
  };
}
