import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { CHECKS, type Finding } from '../doctor/checks.ts';
import { messageOf, StartFailure } from '../start-failure.ts';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('Look at this machine and its settings, and say what would keep a server from running well.')
    .option('--json', 'print the findings as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ baton doctor
  $ BATON_DATA_DIR=/var/lib/baton PORT=8080 baton doctor --json

Changes nothing. Exits with 1 if anything fails; warnings do not count.`,
    )
    .action(run);
}

async function run(options: { json?: boolean }): Promise<void> {
  const findings = await examine();
  if (options.json === true) process.stdout.write(`${JSON.stringify({ findings })}\n`);
  else for (const finding of findings) process.stdout.write(lineOf(finding));
  if (findings.some((finding) => finding.verdict === 'fail')) process.exitCode = 1;
}

async function examine(): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const config = readConfig(process.env);
    findings.push({ check: 'settings', verdict: 'ok', message: 'Every setting is valid.' });
    for (const [check, examineOne] of Object.entries(CHECKS)) {
      try {
        findings.push({ check, ...(await examineOne(config)) });
      } catch (error) {
        findings.push({ check, verdict: 'fail', message: messageOf(error), ...remedyOf(error) });
      }
    }
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    findings.push({ check: 'settings', verdict: 'fail', message: error.message, remedy: error.remedy });
  }
  return findings;
}

function remedyOf(error: unknown): { remedy?: string } {
  return error instanceof StartFailure ? { remedy: error.remedy } : {};
}

function lineOf({ check, verdict, message, remedy }: Finding): string {
  const head = `${verdict.padEnd(4)}  ${check.padEnd(14)} ${message.replaceAll('\n', '\n                      ')}\n`;
  return remedy === undefined ? head : `${head}                      -> ${remedy}\n`;
}
