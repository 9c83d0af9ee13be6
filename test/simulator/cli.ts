import { Command } from 'commander';
import { type SimulationReport, simulate } from './simulation.ts';

/** Runs seeds of the cluster simulation from the command line; one seed is replayed with what happens in it. */
const program = new Command('simulate:cluster')
  .description('Runs the real engine in simulated clusters, with faults, and checks what must always hold.')
  .option('--seeds <from..to>', 'which runs', '1..1000')
  .option('--seed <number>', 'one run, with a line for everything that happens in it')
  .addHelpText('after', '\nExit code 1: something did not hold. The same seed does the same again.')
  .parse();

const options = program.opts<{ seeds: string; seed?: string }>();
process.exitCode = options.seed === undefined ? await many(options.seeds) : await one(Number(options.seed));

async function one(seed: number): Promise<number> {
  const report = await simulate({
    seed,
    trace: (atMs, what) => process.stdout.write(`${(atMs / 1_000).toFixed(3).padStart(9)}  ${what}\n`),
  });
  process.stdout.write(
    `${JSON.stringify({ ...report, faults: counts(report.faults), answers: counts(report.answers) }, undefined, 2)}\n`,
  );
  return report.problems.length === 0 ? 0 : 1;
}

async function many(range: string): Promise<number> {
  const [from = 1, to = 0] = range.split('..').map(Number);
  if (!(to >= from)) program.error(`--seeds ${range}: give them as 1..1000`);
  const total = {
    runs: 0,
    failed: 0,
    steps: 0,
    faults: new Map<string, number>(),
    answers: new Map<string, number>(),
  };
  for (let seed = from; seed <= to; seed++) {
    const report = await simulate({ seed });
    total.runs += 1;
    total.steps += report.steps;
    add(total.faults, report.faults);
    add(total.answers, report.answers);
    if (report.problems.length > 0) {
      total.failed += 1;
      process.stdout.write(failure(report));
    }
    if (total.runs % 100 === 0)
      process.stderr.write(`${total.runs} of ${to - from + 1} runs, ${total.failed} failed\n`);
  }
  const { faults, answers, ...rest } = total;
  process.stdout.write(
    `${JSON.stringify({ ...rest, faults: counts(faults), answers: counts(answers) }, undefined, 2)}\n`,
  );
  return total.failed === 0 ? 0 : 1;
}

function failure(report: SimulationReport): string {
  return `seed ${report.seed}, after ${report.steps} steps:\n${report.problems
    .slice(0, 5)
    .map((line) => `  ${line}\n`)
    .join('')}  replay: npm run simulate:cluster -- --seed ${report.seed}\n`;
}

function add(sum: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [name, count] of more) sum.set(name, (sum.get(name) ?? 0) + count);
}

function counts(map: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...map].sort(([a], [b]) => a.localeCompare(b)));
}
