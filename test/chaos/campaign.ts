import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { projectSettings } from '../../protocol/api/settings.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import { type ChaosRows, check, readRows, rowsText, type Violation } from './checker/index.ts';
import { Crowd, persistently } from './crowd.ts';
import { Dice } from './dice.ts';
import { FaultSchedule } from './fault-schedule.ts';
import { isGuest } from './faults.ts';
import { type Histories, monotonicMs } from './history.ts';
import { Importer } from './importer.ts';
import { Recorder } from './recorder.ts';

const LEASES = { heartbeatMs: 6_000, reconnectGraceMs: 4_000, maxDurationMs: 25_000, maxAttempts: 1_000 };
const WARM_UP_MS = 2_000;
const DRAIN_LOOK_MS = 500;
const QUERY_MS = 5_000;
const HEAL_MS = 60_000;
const LEAVE_MS = 30_000;

export interface CampaignOptions {
  readonly seed: number;
  readonly faultsMs: number;
  readonly people: number;
  readonly pace: { readonly leastMs: number; readonly mostMs: number };
  /** Nodes by name, with their roles; those called `guest...` join and leave. */
  readonly places: Readonly<Record<string, string>>;
  /** After the faults everything is done within that, or it counts as stranded. */
  readonly drainMs: number;
  /** Where histories, logs of the nodes and, after violations, the rows are written. */
  readonly directory: string;
  readonly say: (line: string) => void;
  /** How often it says how far it is, in ms. */
  readonly progressMs: number;
  /** A protection that a test takes out. */
  readonly sabotage?: 'fence';
  /** Instead of faults by chance, what a test wants to happen. */
  readonly scenario?: (cluster: ChaosCluster, crowd: Crowd) => Promise<void>;
}

export interface CampaignResult {
  readonly violations: readonly Violation[];
  readonly histories: Histories;
  readonly rows: ChaosRows;
  /** From the end of the faults until all was done; null when it was not in time. */
  readonly drainedInMs: number | null;
  readonly reconnectsMs: readonly number[];
  /** Faults that did not come about, since another had made them impossible. */
  readonly faultsMissed: readonly string[];
}

export const DEFAULT_PLACES = {
  'gateway-1': 'gateway',
  'gateway-2': 'gateway',
  'engine-1': 'engine',
  'engine-2': 'engine',
  'whole-1': 'gateway,engine',
  'guest-1': 'engine',
} as const;

/**
 * One campaign: a cluster of real processes, people who work in it, faults, then peace until all is done, then the checker.
 *
 * @throws when the campaign itself fails: that says nothing about what it tests.
 */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { seed, directory, say } = options;
  const dice = new Dice(seed);
  const recorder = new Recorder(directory);
  const cluster = await ChaosCluster.start({
    places: options.places,
    logDirectory: directory,
    recorder,
    sabotage: options.sabotage,
  });
  try {
    await Promise.all(cluster.nodes.filter((node) => !isGuest(node)).map((node) => node.start()));
    const projects = await makeProjects(cluster);
    const crowd = await Crowd.create({ cluster, recorder, dice: dice.fork(), size: options.people });
    const importer = new Importer({ cluster, recorder, projects, backlog: 20, batch: 10 });
    const importing = importer.run();
    importing.catch(() => undefined);
    crowd.start();
    say(`${options.people} people work on ${Object.keys(options.places).length} nodes`);
    await delay(WARM_UP_MS);
    recorder.write({ t: 'phase', name: 'faults', atMs: monotonicMs() });
    const schedule = new FaultSchedule({
      world: { cluster, crowd },
      recorder,
      dice: dice.fork(),
      pace: options.pace,
    });
    const progress = setInterval(() => say(progressOf(recorder)), options.progressMs);
    try {
      if (options.scenario) await options.scenario(cluster, crowd);
      else await schedule.run(options.faultsMs);
    } finally {
      clearInterval(progress);
    }

    say('the faults have ended; what is left is being done');
    recorder.write({ t: 'phase', name: 'drain', atMs: monotonicMs() });
    importer.stop();
    crowd.becomeSteady();
    await inTime('healing', HEAL_MS, heal(cluster));
    await inTime('the last import', HEAL_MS, importing);
    const drainedInMs = await drained(cluster, options.drainMs);
    recorder.write({ t: 'phase', name: 'end', atMs: monotonicMs() });
    await inTime('leaving', LEAVE_MS, crowd.stop());
    const [failure] = crowd.failures;
    if (failure !== undefined) throw new Error(`somebody could not go on: ${failure}`);
    const histories = await recorder.close();
    const rows = await readRows(cluster.postgres.url);
    const violations = check(histories, rows);
    if (violations.length > 0) writeFileSync(join(directory, 'rows.json'), rowsText(rows));
    return {
      violations,
      histories,
      rows,
      drainedInMs,
      reconnectsMs: crowd.reconnectsMs(),
      faultsMissed: schedule.failures,
    };
  } finally {
    await cluster.clear();
  }
}

function progressOf({ lines }: Recorder): string {
  const faults = lines.filter((line) => line.t === 'fault').length;
  const operations = lines.filter((line) => line.t === 'op');
  const submits = operations.filter((line) => line.t === 'op' && line.receipt !== undefined).length;
  return `${faults} faults, ${operations.length} operations, ${submits} answers acknowledged`;
}

/** Overlaps of one to three, each policy for late answers, and as many shards as a project may have. */
async function makeProjects(cluster: ChaosCluster): Promise<string[]> {
  const shards = 'shards' in projectSettings.shape ? { shards: 4 } : {};
  const settings: Readonly<Record<string, object>> = {
    alpha: { overlap: 1, lateSubmit: 'accept' },
    beta: { overlap: 2, lateSubmit: 'surplus', ...shards },
    gamma: { overlap: 3, lateSubmit: 'refuse' },
    delta: { overlap: 2, lateSubmit: 'accept', startedFirst: false, strategy: 'random' },
  };
  for (const [slug, own] of Object.entries(settings))
    await persistently(cluster, '/api/projects', { slug, name: slug, settings: { ...LEASES, ...own } });
  return Object.keys(settings);
}

async function heal(cluster: ChaosCluster): Promise<void> {
  for (const { toPostgres, toRedis, fromClients } of cluster.nodes)
    for (const proxy of [toPostgres, toRedis, fromClients]) proxy?.heal();
  await Promise.all(
    cluster.nodes.map(async (node) => {
      node.thaw();
      if (isGuest(node)) await node.drain();
      else if (node.state === 'down') await node.start();
    }),
  );
}

async function inTime<T>(what: string, ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const isLate = delay(ms, undefined, { signal: late.signal }).then(
    () => Promise.reject(new Error(`${what} is not over after ${ms} ms`)),
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([work, isLate]);
  } finally {
    late.abort();
  }
}

/** Nothing is open, nothing unannounced, and what is not complete was had by everybody. */
async function drained(cluster: ChaosCluster, withinMs: number): Promise<number | null> {
  const startMs = monotonicMs();
  while (monotonicMs() - startMs < withinMs) {
    if ((await countOpen(cluster.postgres.url)) === 0) return monotonicMs() - startMs;
    await delay(DRAIN_LOOK_MS);
  }
  return null;
}

async function countOpen(url: string): Promise<number> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: QUERY_MS,
    query_timeout: QUERY_MS,
  });
  await client.connect();
  try {
    const { rows } = await client.query<{ open: number }>(
      `select ((select count(*) from tasks where state not in (5, 6)
           and not (state = 1 and cardinality(had) >= (select count(*) from annotators)))
         + (select count(*) from assignments where state <= 2)
         + (select count(*) from import_chunks))::int as open`,
    );
    return rows[0]?.open ?? 0;
  } finally {
    await client.end();
  }
}
