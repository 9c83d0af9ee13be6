import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createShardedAdapter } from '@socket.io/redis-adapter';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Admin, createAdmin } from '../engine/admin/index.ts';
import {
  BusError,
  createEngine,
  type Database,
  type Engine,
  FanOutRedis,
  type Incident,
  openDatabase,
  openPostgresStore,
  RedisBus,
} from '../engine/index.ts';
import { readClusterId } from '../engine/store/cluster.ts';
import { createAuthenticator } from '../gateway/auth/authenticator.ts';
import { describeError } from '../gateway/describe-error.ts';
import { createHttp, type HttpApp } from '../gateway/http/index.ts';
import { createSockets, type SocketGateway } from '../gateway/sockets/index.ts';
import type { Config } from './config.ts';
import { listenFailure } from './ports.ts';
import { messageOf, StartFailure } from './start-failure.ts';
import { type StopStep, stopInOrder } from './stop-in-order.ts';
import { readVersion } from './version.ts';

/** Connections for admins' queries. With the engine's own they stay far below what Postgres allows. */
const ADMIN_CONNECTIONS = 10;
/** Connections that the system keeps until they are taken: when a gateway dies, its clients come to others at once. */
const BACKLOG = 4_096;
/** Limits of the steps of a stop, in milliseconds. Together they fit the time that a node is given. */
export const STEP_MS = { sockets: 2_500, http: 3_000, engine: 3_000, fanOut: 1_000, pools: 1_000 } as const;

/** One process of a cluster, or all of it: engine, HTTP and sockets on one port, by its roles. */
export interface ServerNode {
  readonly admin: Admin;
  readonly engine: Engine;
  /** @returns where it listens. @throws StartFailure port_in_use, port_refused */
  listen(): Promise<{ host: string; port: number }>;
  /** Clients are sent away, what is in flight is finished, connections are closed. Bounded in time; safe to repeat. */
  stop(): Promise<void>;
}

/**
 * Composes a node on a database that has the schema of this release. The engine runs when this returns; nobody can
 * reach it before `listen`.
 *
 * @throws StartFailure database_unreachable
 */
export async function startNode(args: {
  config: Config;
  databaseUrl: string;
  logger: Logger;
}): Promise<ServerNode> {
  const { config, databaseUrl, logger } = args;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'baton_' });
  const isGateway = config.roles.includes('gateway');
  const store = openPostgresStore(databaseUrl);
  const db = openDatabase({ url: databaseUrl, poolMax: ADMIN_CONNECTIONS, applicationName: 'baton admin' });
  const pools: StopStep = {
    name: 'pools',
    limitMs: STEP_MS.pools,
    run: () => Promise.all([store.close(), db.destroy()]),
  };
  const channels = await openBus(config, db, logger).catch(async (error: unknown) => {
    await stopInOrder([pools], logger);
    throw startFailureOf(error);
  });
  const { bus, fanOut } = channels;
  const engine = createEngine({
    store,
    nodeName: config.nodeName,
    version: readVersion(),
    roles: config.roles,
    ...(bus && { bus }),
    onIncident: (incident) => report(logger, incident),
    onCommit: commitMetrics(registry),
  });
  try {
    await engine.start();
    if (isGateway) await fanOut?.open();
  } catch (error) {
    const closeBus = async (): Promise<unknown> => Promise.all([bus?.close(), fanOut?.close()]);
    await stopInOrder([{ name: 'bus', limitMs: STEP_MS.pools, run: closeBus }, pools], logger);
    throw startFailureOf(error);
  }
  const admin = createAdmin({ db, engine });
  const authenticator = createAuthenticator({ admin });
  const { allowedOrigins, trustProxy } = config;
  const app = await createHttp({
    engine,
    admin,
    authenticator,
    logger,
    registry,
    config: { allowedOrigins, trustProxy, version: readVersion() },
    parts: isGateway ? 'all' : 'health',
  });
  const sockets = isGateway
    ? createSockets({
        httpServer: app.server,
        engine,
        authenticator,
        logger,
        config: { allowedOrigins, trustProxy },
        ...(fanOut && { adapter: createShardedAdapter(fanOut, fanOut, fanOut.adapterOptions) }),
      })
    : undefined;
  if (sockets) connectionMetric(registry, sockets);
  clusterMetrics(registry, engine, bus);
  const steps: StopStep[] = [
    { name: 'sockets', limitMs: STEP_MS.sockets, run: async () => sockets?.close() },
    {
      name: 'http',
      limitMs: STEP_MS.http,
      run: () => app.close(),
      force: () => app.server.closeAllConnections(),
    },
    { name: 'engine', limitMs: STEP_MS.engine, run: () => engine.stop() },
    { name: 'fan-out', limitMs: STEP_MS.fanOut, run: async () => fanOut?.close() },
    pools,
  ];
  const stopped: { promise?: Promise<void> } = {};
  return {
    admin,
    engine,
    listen: () => listen(app, config),
    stop() {
      stopped.promise ??= stopInOrder(steps, logger);
      return stopped.promise;
    },
  };
}

/** @throws BusError; what the database throws. */
async function openBus(
  config: Config,
  db: Database,
  logger: Logger,
): Promise<{ bus?: RedisBus; fanOut?: FanOutRedis }> {
  if (config.redisUrl === undefined) return {};
  const clusterId = await readClusterId(db);
  const redis = {
    url: config.redisUrl,
    clusterId,
    onError: (error: unknown) => logger.warn(describeError(error), 'Redis'),
  };
  return { bus: new RedisBus({ ...redis, address: randomUUID() }), fanOut: new FanOutRedis(redis) };
}

function startFailureOf(error: unknown): StartFailure {
  if (error instanceof BusError) {
    const remedy = 'See that it runs, or leave REDIS_URL out if this is the only process.';
    return new StartFailure('redis_unusable', error.message, remedy, error);
  }
  return new StartFailure(
    'database_unreachable',
    `The database does not answer: ${messageOf(error)}.`,
    'See that it runs.',
    error,
  );
}

async function listen(app: HttpApp, config: Config): Promise<{ host: string; port: number }> {
  // For the name `localhost` Fastify would open a second server for the other address family, without sockets on it.
  const host = config.host === 'localhost' ? '127.0.0.1' : config.host;
  try {
    await app.listen({ host, port: config.port, backlog: BACKLOG });
  } catch (error) {
    throw listenFailure(error, host, config.port);
  }
  return { host, port: portOf(app.server.address()) };
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

/** An incident's error is described by kind and place: a database's messages quote the values they are about (I9). */
function report(logger: Logger, { kind, error, ...ids }: Incident): void {
  const fields = { incident: kind, ...ids, ...(error === undefined ? {} : describeError(error)) };
  logger.warn(fields, 'incident');
}

function commitMetrics(registry: Registry): (durationMs: number, batches: readonly unknown[]) => void {
  const seconds = new Histogram({
    name: 'baton_commit_seconds',
    help: 'Time of a group commit.',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  return (durationMs) => seconds.observe(durationMs / 1_000);
}

function clusterMetrics(registry: Registry, engine: Engine, bus: RedisBus | undefined): void {
  const registers = [registry];
  const nodes: Gauge = new Gauge({
    name: 'baton_cluster_nodes',
    help: 'Live processes of the cluster, as this one sees them.',
    registers,
    collect: () => nodes.set(engine.status().nodes),
  });
  if (!bus) return;
  const messages: Gauge<'what'> = new Gauge({
    name: 'baton_bus_messages',
    help: 'Messages between nodes since the start of this process: sent, received, dropped, malformed.',
    labelNames: ['what'],
    registers,
    collect: () => {
      for (const [what, count] of Object.entries(bus.counts)) messages.set({ what }, count);
    },
  });
  const up: Gauge = new Gauge({
    name: 'baton_bus_up',
    help: '1 while the other nodes can be reached.',
    registers,
    collect: () => up.set(bus.isUp ? 1 : 0),
  });
}

function connectionMetric(registry: Registry, sockets: SocketGateway): void {
  const gauge: Gauge = new Gauge({
    name: 'baton_connections',
    help: 'Connected annotator sockets.',
    registers: [registry],
    collect: () => gauge.set(sockets.connections()),
  });
}
