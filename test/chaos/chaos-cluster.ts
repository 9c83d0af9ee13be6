import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../app/migrate.ts';
import { freePort } from '../../app/postgres/postmaster.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { ChaosNode } from './chaos-node.ts';
import { ChaosPostgres } from './chaos-postgres.ts';
import { installProbes } from './probes.ts';
import type { Recorder } from './recorder.ts';

const ADMIN_TOKEN = 'campaign-admin-token';
const CALL_MS = 5_000;

/** What a campaign runs on: Postgres, Redis, nodes, and the way of an admin to them. */
export class ChaosCluster {
  readonly postgres: ChaosPostgres;
  readonly redis: TestRedis;
  readonly nodes: readonly ChaosNode[];
  private readonly directory: string;
  /** Whatever becomes of the campaign, its processes do not outlive it. */
  private readonly onExit = () => {
    for (const node of this.nodes) node.killNow();
    this.postgres.killNow();
  };
  private calls = 0;

  private constructor(args: {
    postgres: ChaosPostgres;
    redis: TestRedis;
    nodes: readonly ChaosNode[];
    directory: string;
  }) {
    this.postgres = args.postgres;
    this.redis = args.redis;
    this.nodes = args.nodes;
    this.directory = args.directory;
    process.once('exit', this.onExit);
  }

  /** Nothing of it runs yet but Postgres and Redis. @param args.places nodes and their roles */
  static async start(args: {
    places: Readonly<Record<string, string>>;
    logDirectory: string;
    recorder: Recorder;
    sabotage: 'fence' | undefined;
  }): Promise<ChaosCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'baton-test-chaos-'));
    mkdirSync(args.logDirectory, { recursive: true });
    const [postgres, redis] = await Promise.all([ChaosPostgres.start(), startTestRedis()]);
    await migrate(postgres.url);
    await installProbes(postgres.url, args.sabotage);
    const nodes: ChaosNode[] = [];
    for (const [name, roles] of Object.entries(args.places)) {
      nodes.push(
        await ChaosNode.create({
          name,
          roles,
          port: roles.includes('gateway') ? await freePort() : 0,
          databaseUrl: postgres.url,
          redisPort: redis.port,
          adminToken: ADMIN_TOKEN,
          dataDirectory: join(directory, name),
          logDirectory: args.logDirectory,
          note: (life) => args.recorder.write(life),
        }),
      );
    }
    return new ChaosCluster({ postgres, redis, nodes, directory });
  }

  /** Nodes that clients can connect to, whatever state they are in. */
  gateways(): ChaosNode[] {
    return this.nodes.filter((node) => node.isGateway);
  }

  /**
   * One HTTP call through the proxy of some gateway that is up, bounded in time.
   *
   * @throws CallFailure; `unknown` when there was no answer.
   */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const up = this.gateways().filter((node) => node.state === 'up');
    const gateway = up[++this.calls % up.length]?.fromClients;
    if (!gateway) throw new CallFailure('refused', 'no_gateway', 'no gateway is up');
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${gateway.url}${path}`, {
        method,
        signal: AbortSignal.timeout(CALL_MS),
        headers: {
          authorization: `Bearer ${ADMIN_TOKEN}`,
          'content-type': 'application/json',
          connection: 'close',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch (error) {
      throw new CallFailure('unknown', 'no_answer', error instanceof Error ? error.message : String(error));
    }
    if (!response.ok) {
      // A server that failed halfway may have done it all the same.
      const outcome = response.status >= 500 ? 'unknown' : 'refused';
      const code = text.match(/"code":"(\w+)"/)?.[1] ?? String(response.status);
      throw new CallFailure(outcome, code, `${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
    }
    return JSON.parse(text);
  }

  /** No process stays, whatever state they are in. */
  async clear(): Promise<void> {
    const clearing = await Promise.allSettled(this.nodes.map((node) => node.clear()));
    await this.redis.stop();
    await this.postgres.stop();
    process.off('exit', this.onExit);
    rmSync(this.directory, { recursive: true, force: true });
    for (const result of clearing) if (result.status === 'rejected') throw result.reason;
  }
}

export class CallFailure extends Error {
  override readonly name = 'CallFailure';
  readonly outcome: 'refused' | 'unknown';
  /** The API's, `no_answer` or `no_gateway`. */
  readonly code: string;

  constructor(outcome: 'refused' | 'unknown', code: string, message: string) {
    super(message);
    this.outcome = outcome;
    this.code = code;
  }
}
