import { cpus, totalmem } from 'node:os';
import { readVersion } from '../../app/version.ts';
import type { CampaignOptions, CampaignResult } from './campaign.ts';
import { type Percentiles, percentiles, type Timings, timingsOf } from './timings.ts';

/** What is written to the JSON file. Times in milliseconds. */
export interface CampaignReport {
  readonly seed: number;
  readonly faultsMs: number;
  readonly people: number;
  readonly nodes: Readonly<Record<string, string>>;
  readonly machine: { readonly cpus: number; readonly model: string; readonly memoryMib: number };
  readonly versions: { readonly baton: string; readonly node: string };
  readonly faults: Readonly<Record<string, number>>;
  readonly faultsTotal: number;
  readonly faultsMissed: readonly string[];
  readonly whims: Readonly<Record<string, number>>;
  /** Each attempt of each message, by what came of it. */
  readonly operations: Readonly<Record<string, number>>;
  readonly operationsTotal: number;
  readonly rows: { readonly tasks: number; readonly annotations: number; readonly transitions: number };
  readonly commits: number;
  readonly drainedInMs: number | null;
  readonly reconnects: Percentiles;
  readonly timings: Timings;
  readonly violations: readonly { readonly kind: string; readonly what: string }[];
}

export function reportOf(options: CampaignOptions, result: CampaignResult): CampaignReport {
  const { histories, rows } = result;
  const [cpu] = cpus();
  return {
    seed: options.seed,
    faultsMs: options.faultsMs,
    people: options.people,
    nodes: options.places,
    machine: {
      cpus: cpus().length,
      model: cpu?.model ?? 'unknown',
      memoryMib: Math.round(totalmem() / 2 ** 20),
    },
    versions: { baton: readVersion(), node: process.version },
    faults: counts(histories.faults.map(({ kind }) => kind)),
    faultsTotal: histories.faults.length,
    faultsMissed: result.faultsMissed,
    whims: counts(histories.whims.map(({ kind }) => kind)),
    operations: counts(
      histories.operations.map(({ event, outcome, code }) => `${event} ${outcome}${code ? ` ${code}` : ''}`),
    ),
    operationsTotal: histories.operations.length,
    rows: {
      tasks: rows.tasks.length,
      annotations: rows.annotations.length,
      transitions: rows.transitions.length,
    },
    commits: rows.commits.length,
    drainedInMs: result.drainedInMs === null ? null : Math.round(result.drainedInMs),
    reconnects: percentiles(result.reconnectsMs),
    timings: timingsOf(histories, rows),
    violations: result.violations,
  };
}

export function reportText(report: CampaignReport): string {
  const { takeover, handover } = report.timings;
  const seconds = (ms: number) => (ms / 1_000).toFixed(1);
  const line = (of: Percentiles) =>
    `p50 ${seconds(of.p50)}, p90 ${seconds(of.p90)}, p99 ${seconds(of.p99)}, most ${seconds(of.max)} s (${of.count})`;
  return [
    `faults: ${report.faultsTotal}`,
    ...table(report.faults),
    `operations: ${report.operationsTotal}`,
    ...table(report.operations),
    `tasks ${report.rows.tasks}, annotations ${report.rows.annotations}, transitions ${report.rows.transitions}, commits ${report.commits}`,
    'a shard of an engine that was killed or frozen',
    `  has another owner after:  ${line(takeover.taken)}`,
    `    with no other fault:    ${line(takeover.takenAlone)}`,
    `  first commit there after: ${line(takeover.served)}`,
    `    with no other fault:    ${line(takeover.servedAlone)}`,
    'a shard of an engine that was asked to stop',
    `  has another owner after:  ${line(handover.taken)}`,
    `    with no other fault:    ${line(handover.takenAlone)}`,
    `  first commit there after: ${line(handover.served)}`,
    `clients came back after:    ${line(report.reconnects)}`,
    report.drainedInMs === null
      ? 'not everything was done in time'
      : `all was done ${seconds(report.drainedInMs)} s after the last fault`,
    ...report.violations.slice(0, 50).map(({ kind, what }) => `${kind}: ${what}`),
    report.violations.length === 0 ? 'everything holds' : `${report.violations.length} violations`,
    '',
  ].join('\n');
}

function table(numbers: Readonly<Record<string, number>>): string[] {
  return Object.entries(numbers).map(([name, count]) => `  ${String(count).padStart(6)}  ${name}`);
}

function counts(names: readonly string[]): Record<string, number> {
  const found = new Map<string, number>();
  for (const name of names) found.set(name, (found.get(name) ?? 0) + 1);
  return Object.fromEntries([...found].sort(([a], [b]) => a.localeCompare(b)));
}
