import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TRANSITION_CODES } from '../../engine/store/codes.ts';
import { type ServerProcess, startServer } from '../../test/support/server-process.ts';
import { startChild } from '../child.ts';
import type { ClientsAnswer, ClientsOrder } from '../clients-process.ts';
import { cpuTime, processCpuMs } from '../cpu.ts';
import { addAnnotators, addProject, addTasks, addTokens, settleTables, withDatabase } from '../population.ts';
import type { StormAnswer, StormOrder } from './clients-process.ts';
import type { Manners, PersonPlan } from './person.ts';

const PROJECTS = 4;
/** Who works at the other gateway all the while, and how much, between them. */
const BYSTANDERS = 10;
const CYCLES_PER_SECOND = 20;
const CYCLES_MAX = 10_000;
/** As a project has them that says nothing else. */
const TIMES = { heartbeatMs: 45_000, reconnectGraceMs: 15_000, maxDurationMs: 1_800_000 };
/** After the kill: until the gateway counts as dead (4 s) and the grace of those who were there is over. */
const GRACE_IS_OVER_MS = TIMES.reconnectGraceMs + 6_000;
const WARM_UP_MS = 1_000;
const LAG_METRIC = /^baton_nodejs_eventloop_lag_max_seconds (\S+)$/m;

export interface StormPlan {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Of the Postgres that has the database, if its CPU time is wanted. */
  readonly postmasterPid?: number;
  readonly annotators: number;
  readonly manners: Manners;
  /** How long the work of others is timed before the kill, and from the kill on. */
  readonly calmMs: number;
  readonly stormMs: number;
  /** Waits until every grace is over and looks again: a lease that ends late would show only then. */
  readonly waitsOutGraces: boolean;
  readonly say: (line: string) => void;
}

export interface StormReport extends StormAnswer {
  /** Open leases that ended without an answer, from the first grant until every grace was over. */
  readonly endedLeases: number;
  readonly cpu: {
    readonly gatewayMs: number;
    readonly enginesMs: number;
    readonly clientsMs: number;
    readonly postgresMs: number | null;
  };
  /** The longest that an event loop stood still, by Node's own histogram. */
  readonly lag: { readonly gatewayMs: number; readonly enginesMs: number };
  /** The work of others at the other gateway. */
  readonly workBefore: ClientsAnswer;
  readonly workDuring: ClientsAnswer;
}

/**
 * Two gateways and two engines. Everybody is at the first gateway with a lease, half of them with a draft; it is killed, and
 * they all come to the second. Expects an empty, migrated database.
 */
export async function runStorm(plan: StormPlan): Promise<StormReport> {
  const { annotatorIds, bystanderIds } = await populate(plan);
  const place = mkdtempSync(join(tmpdir(), 'baton-storm-'));
  const servers: ServerProcess[] = [];
  const start = async (roles: string, name: string): Promise<ServerProcess> => {
    const server = await startServer({
      DATABASE_URL: plan.databaseUrl,
      REDIS_URL: plan.redisUrl,
      BATON_ROLES: roles,
      BATON_NODE_NAME: name,
      BATON_DATA_DIR: join(place, name),
      BATON_SAMPLE: '0',
    });
    servers.push(server);
    return server;
  };
  const people = startChild<StormOrder, StormAnswer>('./storm/clients-process.ts');
  const bystanders = startChild<ClientsOrder, ClientsAnswer>('./clients-process.ts');
  try {
    const [dying, other, ...engines] = await Promise.all([
      start('gateway', 'gateway-1'),
      start('gateway', 'gateway-2'),
      start('engine', 'engine-1'),
      start('engine', 'engine-2'),
    ]);
    plan.say(`${plan.annotators} annotators connect and take a task each`);
    await people.ask({ begin: { url: dying.url, people: plansOf(annotatorIds) } });
    await bystanders.ask({ connect: { port: Number(new URL(other.url).port), annotatorIds: bystanderIds } });
    const paced = { perSecond: CYCLES_PER_SECOND, kind: 'work' } as const;
    await bystanders.ask({ openLoopMs: WARM_UP_MS, ...paced });
    const workBefore = await bystanders.ask({ openLoopMs: plan.calmMs, ...paced });
    await Promise.all([other, ...engines].map(lagOf));
    const before = await usage(plan, other, engines);
    const clientsBefore = (await people.ask({ beat: 'all' })).cpuMs;
    const kill = async (): Promise<number> => {
      // Everybody listens for it before the gateway is gone.
      await delay(500);
      plan.say('the gateway is killed');
      dying.kill('SIGKILL');
      return performance.now();
    };
    const comeBack = async () => {
      const back = await people.ask({ comeBack: { url: other.url, manners: plan.manners } });
      plan.say(`all are back after ${Math.round(back.back?.max ?? 0)} ms`);
      return { back, after: await usage(plan, other, engines) };
    };
    const [killedMs, { back, after }, workDuring] = await Promise.all([
      kill(),
      comeBack(),
      bystanders.ask({ openLoopMs: plan.stormMs, ...paced }),
    ]);
    const [gatewayMs, ...enginesMs] = await Promise.all([other, ...engines].map(lagOf));
    if (plan.waitsOutGraces) await delay(Math.max(0, killedMs + GRACE_IS_OVER_MS - performance.now()));
    const { alive } = await people.ask({ beat: 'all' });
    return {
      ...back,
      alive,
      endedLeases: await endedLeases(plan.databaseUrl),
      cpu: {
        gatewayMs: after.gatewayMs - before.gatewayMs,
        enginesMs: after.enginesMs - before.enginesMs,
        clientsMs: back.cpuMs - clientsBefore,
        postgresMs:
          after.postgresMs === null || before.postgresMs === null
            ? null
            : after.postgresMs - before.postgresMs,
      },
      lag: { gatewayMs: gatewayMs ?? 0, enginesMs: Math.max(...enginesMs) },
      workBefore,
      workDuring,
    };
  } finally {
    await Promise.all([people.stop(), bystanders.stop()]);
    for (const server of servers) server.kill('SIGTERM');
    await Promise.all(servers.map((server) => server.ended));
    rmSync(place, { recursive: true, force: true });
  }
}

function populate({ databaseUrl, annotators }: StormPlan) {
  return withDatabase(databaseUrl, async (db) => {
    for (let i = 0; i < PROJECTS; i += 1) {
      const project = await addProject(db, slugOf(i), TIMES);
      await addTasks(db, project, { count: Math.ceil(annotators / PROJECTS) + CYCLES_MAX / PROJECTS });
    }
    const annotatorIds = await addAnnotators(db, { count: annotators });
    const bystanderIds = await addAnnotators(db, { count: BYSTANDERS });
    await addTokens(db, [...annotatorIds, ...bystanderIds]);
    await settleTables(db);
    return { annotatorIds, bystanderIds };
  });
}

function slugOf(i: number): string {
  return `storm-${i % PROJECTS}`;
}

function plansOf(annotatorIds: readonly number[]): PersonPlan[] {
  return annotatorIds.map((annotatorId, i) => ({
    annotatorId,
    project: slugOf(i),
    withDraft: Math.floor(i / PROJECTS) % 2 === 0,
  }));
}

async function usage(plan: StormPlan, gateway: ServerProcess, engines: readonly ServerProcess[]) {
  const { postmasterPid } = plan;
  return {
    gatewayMs: processCpuMs(gateway.pid) ?? 0,
    enginesMs: engines.reduce((sum, engine) => sum + (processCpuMs(engine.pid) ?? 0), 0),
    postgresMs: (postmasterPid === undefined ? undefined : cpuTime(postmasterPid).postgresMs) ?? null,
  };
}

/** Since the last time that it was asked. */
async function lagOf(server: ServerProcess): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const seconds = Number(LAG_METRIC.exec(text)?.[1]);
  if (Number.isNaN(seconds)) throw new Error('a server says nothing of its event loop');
  return seconds * 1_000;
}

function endedLeases(databaseUrl: string): Promise<number> {
  return withDatabase(databaseUrl, async (db) => {
    const { expired, abandoned, revoked } = TRANSITION_CODES;
    const row = await db('transitions')
      .whereIn('event', [expired, abandoned, revoked])
      .count('* as n')
      .first();
    return Number(row?.n);
  });
}
