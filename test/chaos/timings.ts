import { Evidence } from './checker/evidence.ts';
import type { ChaosRows } from './checker/index.ts';
import type { FaultLine, Histories } from './history.ts';

/** Quantiles of a number of durations, in ms. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface Timings {
  /**
   * From the moment an engine was killed or frozen until each shard that it owned had another owner in the database, and
   * until the first commit under that owner. `alone`: no other fault was there at the time.
   */
  readonly takeover: {
    readonly taken: Percentiles;
    readonly takenAlone: Percentiles;
    readonly served: Percentiles;
    readonly servedAlone: Percentiles;
  };
  /** The same from SIGTERM, which an engine takes as the wish to hand its shards over. */
  readonly handover: {
    readonly taken: Percentiles;
    readonly takenAlone: Percentiles;
    readonly served: Percentiles;
    readonly servedAlone: Percentiles;
  };
}

interface Sample {
  readonly takenMs: number;
  /** Undefined when nothing was committed there any more. */
  readonly servedMs: number | undefined;
  readonly isAlone: boolean;
}

/** How long shards were without an owner, from what the probes in the database saw. */
export function timingsOf(histories: Histories, rows: ChaosRows): Timings {
  const evidence = new Evidence(histories, rows);
  const samplesOf = (isMeant: (fault: FaultLine) => boolean) =>
    histories.faults.filter(isMeant).flatMap((fault) => samples(evidence, fault));
  return {
    takeover: summary(samplesOf(({ kind }) => /^(kill|freeze) (engine|gateway)/.test(kind))),
    handover: summary(samplesOf(({ kind }) => /^drain /.test(kind))),
  };
}

export function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

function samples(evidence: Evidence, fault: FaultLine): Sample[] {
  const { owners, commits, nodes } = evidence.rows;
  const nameOf = new Map(nodes.map((node) => [node.incarnation, node.name]));
  return [...new Set(owners.map((row) => row.shard_id))].flatMap((shardId) => {
    const changes = owners.filter((row) => row.shard_id === shardId);
    const before = changes.findLast((row) => evidence.monotonic(row.at_ms) <= fault.startMs);
    if (!before || before.owner === null || nameOf.get(before.owner) !== fault.victim) return [];
    const next = changes.find((row) => row.epoch > before.epoch && row.owner !== null);
    // A node that was frozen for less than its term owns it still.
    if (!next || next.owner === before.owner) return [];
    const atMs = evidence.monotonic(next.at_ms);
    // Owned for long after: it was taken for another reason.
    if (fault.kind.startsWith('freeze') && atMs > fault.endMs + 1_000) return [];
    const first = commits.find((row) => row.shard_id === shardId && row.epoch >= next.epoch);
    const servedMs = first && evidence.monotonic(first.at_ms) - fault.startMs;
    const takenMs = atMs - fault.startMs;
    return [{ takenMs, servedMs, isAlone: isAlone(evidence, fault, atMs) }];
  });
}

function isAlone({ histories }: Evidence, fault: FaultLine, untilMs: number): boolean {
  return !histories.faults.some(
    (other) => other !== fault && other.startMs < untilMs && other.endMs > fault.startMs,
  );
}

function summary(all: readonly Sample[]): Timings['takeover'] {
  const alone = all.filter((sample) => sample.isAlone);
  const taken = (of: readonly Sample[]) => percentiles(of.map(({ takenMs }) => takenMs));
  const served = (of: readonly Sample[]) =>
    percentiles(of.map(({ servedMs }) => servedMs).filter((ms) => ms !== undefined));
  return {
    taken: taken(all),
    takenAlone: taken(alone),
    served: served(all),
    servedAlone: served(alone),
  };
}
