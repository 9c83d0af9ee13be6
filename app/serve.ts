import { makeToken } from '../engine/admin/token-secret.ts';
import { describeError } from '../gateway/describe-error.ts';
import type { Config } from './config.ts';
import { openDataDirectory, readSecret, writeSecret } from './data-directory.ts';
import { provideDatabase } from './database.ts';
import { openLog, type ServerLog } from './logger.ts';
import { migrate, requireSchema } from './migrate.ts';
import { type ServerNode, startNode } from './node.ts';
import { listenFailure, tryPort } from './ports.ts';
import type { SupervisionEvent } from './postgres/supervisor.ts';
import { ensureSample } from './sample.ts';
import { ADMIN_TOKEN_FILE } from './secrets.ts';
import { messageOf, StartFailure } from './start-failure.ts';
import { type StopStep, stopInOrder } from './stop-in-order.ts';
import { readVersion } from './version.ts';

const DATABASE_STOP_MS = 10_000;
/** How long each part of a stop may take, in the order in which they stop. A grace given from outside covers the sum. */
export const STOP_LIMITS_MS = {
  node: 11_000,
  // Twice the time: after the first it ends the fast shutdown and stops at once.
  database: 2 * DATABASE_STOP_MS,
  lock: 1_000,
} as const;

/** What a started server tells whoever started it. Holds secrets. */
export interface Welcome {
  readonly version: string;
  readonly url: string;
  readonly docs: string;
  readonly dataDirectory: string;
  readonly database: string;
  /** Empty for a process that is no gateway. */
  readonly adminToken: string;
  /** Of the sample project's annotator, if this server made one. */
  readonly annotatorToken?: string;
  readonly pid: number;
  readonly startedInMs: number;
}

export interface Server {
  readonly welcome: Welcome;
  readonly log: ServerLog;
  /** Everything that was begun is finished or given back, each within its time. Safe to repeat. */
  stop(): Promise<void>;
}

/**
 * Starts a whole server. What was started before something failed is stopped again.
 *
 * @throws StartFailure
 */
export async function serve(config: Config): Promise<Server> {
  const startedAtMs = performance.now();
  const log = openLog(config);
  const steps: StopStep[] = [];
  const stopped: { promise?: Promise<void> } = {};
  const stop = (): Promise<void> => {
    stopped.promise ??= stopInOrder(steps, log.logger);
    return stopped.promise;
  };
  try {
    await refuseTakenPort(config);
    const directory = openDataDirectory(config.dataDirectory);
    steps.unshift({ name: 'lock', limitMs: STOP_LIMITS_MS.lock, run: async () => directory.release() });
    const database = await provideDatabase(config, directory.path, (event) =>
      log.logger.error({ postgres: event.kind, ...remedyOf(event) }, 'embedded Postgres'),
    );
    steps.unshift({
      name: 'database',
      limitMs: STOP_LIMITS_MS.database,
      run: () => database.stop(DATABASE_STOP_MS),
    });
    await (config.migrate ? migrate(database.url) : requireSchema(database.url));
    const node = await startNode({ config, databaseUrl: database.url, logger: log.logger });
    steps.unshift({ name: 'node', limitMs: STOP_LIMITS_MS.node, run: () => node.stop() });
    const isGateway = config.roles.includes('gateway');
    const adminToken = isGateway ? await ensureAdminToken(config, node, directory.path) : '';
    const sample = await ensureSample({
      admin: node.admin,
      dataDirectory: directory.path,
      wanted: isGateway && config.sample,
    });
    const { host, port } = await node.listen();
    const url = `http://${reachable(host)}:${port}`;
    const welcome: Welcome = {
      version: readVersion(),
      url,
      docs: `${url}/docs`,
      dataDirectory: directory.path,
      database: database.description,
      adminToken,
      ...sample,
      pid: process.pid,
      startedInMs: Math.round(performance.now() - startedAtMs),
    };
    log.logger.info({ host, port, database: database.description, ms: welcome.startedInMs }, 'ready');
    return { welcome, log, stop };
  } catch (error) {
    if (!(error instanceof StartFailure)) log.logger.fatal(describeError(error), 'start failed');
    await stop();
    log.flush();
    throw error;
  }
}

/** Asked before anything else is started: a second `npm start` shall not take seconds to say no. */
async function refuseTakenPort(config: Config): Promise<void> {
  try {
    await tryPort(config.host, config.port);
  } catch (error) {
    throw listenFailure(error, config.host, config.port);
  }
}

/** The configured token, or one that is made once and kept in the data directory. */
async function ensureAdminToken(config: Config, node: ServerNode, dataDirectory: string): Promise<string> {
  const kept = config.adminToken ?? readSecret(dataDirectory, ADMIN_TOKEN_FILE);
  const token = kept ?? makeToken();
  if (kept === undefined) writeSecret(dataDirectory, ADMIN_TOKEN_FILE, token);
  const ensured = await node.admin.ensureAdminToken(token).catch((error: unknown) => {
    throw new StartFailure(
      'database_unreachable',
      `The database does not answer: ${messageOf(error)}.`,
      'See that it runs.',
      error,
    );
  });
  if (ensured.ok) return token;
  throw new StartFailure('bad_setting', ensured.message, 'Set BATON_ADMIN_TOKEN to another token.');
}

/** What the operator can do about a database that does not come back. A start failure quotes no data. */
function remedyOf(event: SupervisionEvent): Record<string, string> {
  if (event.kind !== 'restart_failed') return {};
  const { error } = event;
  return error instanceof StartFailure
    ? { why: error.message, remedy: error.remedy }
    : { why: messageOf(error) };
}

/** An address that listens everywhere is no address to go to. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
