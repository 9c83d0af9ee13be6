import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatonClient, type BatonClientOptions } from '../../client/index.ts';
import { type Database, openDatabase } from '../../engine/index.ts';
import { violations } from '../engine/invariants.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { type ServerProcess, startServer } from '../support/server-process.ts';

const ADMIN_TOKEN = 'cluster-admin-token';

/** Processes of one cluster, with a database and a Redis of their own. */
export class ClusterUnderTest {
  readonly database: TestDatabase;
  readonly db: Database;
  readonly redis: TestRedis;
  private readonly directory = mkdtempSync(join(tmpdir(), 'baton-test-nodes-'));
  private readonly processes: ServerProcess[] = [];
  private readonly clients: BatonClient[] = [];
  private people = 0;

  private constructor(database: TestDatabase, redis: TestRedis) {
    this.database = database;
    this.redis = redis;
    this.db = openDatabase({ url: database.url, poolMax: 3, applicationName: 'test' });
  }

  static async start(): Promise<ClusterUnderTest> {
    return new ClusterUnderTest(await createTestDatabase(), await startTestRedis());
  }

  /** @param launcher of another release. */
  async node(roles: string, name: string, launcher?: string): Promise<ServerProcess> {
    const env = {
      DATABASE_URL: this.database.url,
      REDIS_URL: this.redis.url,
      BATON_ROLES: roles,
      BATON_NODE_NAME: name,
      BATON_DATA_DIR: join(this.directory, `${name}-${this.processes.length}`),
      BATON_ADMIN_TOKEN: ADMIN_TOKEN,
      BATON_SAMPLE: '0',
      LOG_LEVEL: 'debug',
    };
    const node = await startServer(env, undefined, launcher);
    this.processes.push(node);
    return node;
  }

  async call(node: ServerProcess, method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${node.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  /** A project with tasks. */
  async project(node: ServerProcess, slug: string, tasks: number, settings: object = {}): Promise<string> {
    await this.call(node, 'POST', '/api/projects', { slug, name: slug, settings });
    if (tasks > 0) await this.tasks(node, slug, tasks);
    return slug;
  }

  async tasks(node: ServerProcess, slug: string, count: number): Promise<void> {
    const rows = Array.from({ length: count }, (_, n) => ({ data: { n } }));
    await this.call(node, 'POST', `/api/projects/${slug}/tasks`, rows);
  }

  /** An annotator's token. */
  async annotator(node: ServerProcess, capacity = 1): Promise<string> {
    const externalId = `person-${++this.people}`;
    const made = await this.call(node, 'POST', '/api/annotators', { externalId, name: externalId, capacity });
    const id = fieldOf(made, 'id');
    const token = await this.call(node, 'POST', `/api/annotators/${String(id)}/tokens`, {});
    return String(fieldOf(token, 'token'));
  }

  /** A client that is connected. */
  async client(
    node: ServerProcess,
    token: string,
    more: Partial<BatonClientOptions> = {},
  ): Promise<BatonClient> {
    const client = new BatonClient({
      url: node.url,
      token,
      ackTimeoutMs: 5_000,
      backoffBaseMs: 20,
      backoffMaxMs: 200,
      autosaveMs: 5,
      ...more,
    });
    this.clients.push(client);
    await client.connect();
    return client;
  }

  /** The node whose incarnation owns this project's shard. */
  async ownerOf(slug: string): Promise<string> {
    const row: { name: string } | undefined = await this.db('shards as s')
      .join('projects as p', 'p.id', 's.project_id')
      .join('nodes as n', 'n.incarnation', 's.owner')
      .where('p.slug', slug)
      .first('n.name');
    return row?.name ?? 'nobody';
  }

  /** Everything is ended. @returns what is wrong in the database. */
  async close(): Promise<string[]> {
    try {
      for (const client of this.clients) client.close();
      for (const node of this.processes) {
        node.kill('SIGCONT');
        node.kill('SIGTERM');
      }
      for (const node of this.processes) await node.ended;
      return await violations(this.db);
    } finally {
      for (const node of this.processes) node.kill('SIGKILL');
      await this.redis.stop();
      await this.db.destroy();
      await this.database.drop();
      rmSync(this.directory, { recursive: true, force: true });
    }
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return new Map<string, unknown>(Object.entries(value ?? {})).get(name);
}
