import type { ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CuttableProxy } from '../replay/cuttable-proxy.ts';
import { type ServerProcess, startServer } from '../support/server-process.ts';
import { monotonicMs, type NodeLife } from './history.ts';

/** A start that takes longer is ended and tried again, in ms. */
const START_MS = 60_000;
const START_AGAIN_MS = 500;
const STARTS_MAX = 60;
/** A drain that takes longer is a violation, in ms: the server's own limits of its stop add up to less. */
const DRAIN_MS = 20_000;

export type NodeState = 'down' | 'starting' | 'up' | 'frozen' | 'stopping';

export interface NodePlace {
  readonly name: string;
  readonly roles: string;
  /** 0 for a node that no client connects to. */
  readonly port: number;
  readonly databaseUrl: string;
  readonly redisPort: number;
  readonly adminToken: string;
  readonly dataDirectory: string;
  readonly logDirectory: string;
  readonly note: (life: NodeLife) => void;
}

/** One node of the campaign: a process that is killed, frozen and drained and comes back, behind proxies of its own. */
export class ChaosNode {
  readonly name: string;
  readonly roles: string;
  readonly toPostgres: CuttableProxy;
  readonly toRedis: CuttableProxy;
  /** Where clients connect; a pure engine has none. */
  readonly fromClients: CuttableProxy | undefined;
  state: NodeState = 'down';
  private readonly place: NodePlace;
  private readonly log: WriteStream;
  private running: ServerProcess | undefined;
  /** Started, and not ready yet. */
  private starting: ChildProcess | undefined;
  private isOver = false;

  private constructor(
    place: NodePlace,
    proxies: { toPostgres: CuttableProxy; toRedis: CuttableProxy; fromClients: CuttableProxy | undefined },
  ) {
    this.name = place.name;
    this.roles = place.roles;
    this.place = place;
    this.toPostgres = proxies.toPostgres;
    this.toRedis = proxies.toRedis;
    this.fromClients = proxies.fromClients;
    this.log = createWriteStream(join(place.logDirectory, `${place.name}.log`));
  }

  static async create(place: NodePlace): Promise<ChaosNode> {
    return new ChaosNode(place, {
      toPostgres: await CuttableProxy.start(Number(new URL(place.databaseUrl).port)),
      toRedis: await CuttableProxy.start(place.redisPort),
      fromClients: place.port === 0 ? undefined : await CuttableProxy.start(place.port),
    });
  }

  get isGateway(): boolean {
    return this.roles.includes('gateway');
  }

  get isEngine(): boolean {
    return this.roles.includes('engine');
  }

  /** Until it is up; tried again while Postgres or Redis is away. @throws when it will not start at all. */
  async start(): Promise<void> {
    this.state = 'starting';
    for (let tries = 0; !this.isOver; tries++) {
      const error = await this.tryStart();
      if (error === undefined) return;
      this.note('start_failed', error.slice(-500));
      if (tries >= STARTS_MAX) throw new Error(`${this.name} does not start: ${error}`);
      await delay(START_AGAIN_MS);
    }
  }

  /** kill -9; nothing if it is not there. */
  async kill(): Promise<void> {
    const running = this.running;
    if (!running) return;
    this.state = 'stopping';
    this.note('killed');
    running.kill('SIGKILL');
    await running.ended;
    this.state = 'down';
  }

  freeze(): void {
    if (this.state !== 'up') return;
    this.state = 'frozen';
    this.running?.kill('SIGSTOP');
  }

  thaw(): void {
    if (this.state !== 'frozen') return;
    this.state = 'up';
    this.running?.kill('SIGCONT');
  }

  /** SIGTERM, and waits for the end. @returns how long it took, in ms. */
  async drain(): Promise<number> {
    const running = this.running;
    if (!running) return 0;
    this.thaw();
    this.state = 'stopping';
    const startMs = monotonicMs();
    running.kill('SIGTERM');
    const late = setTimeout(() => {
      this.note('did_not_stop', `after ${DRAIN_MS} ms`);
      running.kill('SIGKILL');
    }, DRAIN_MS);
    await running.ended;
    clearTimeout(late);
    this.note('drained');
    this.state = 'down';
    return monotonicMs() - startMs;
  }

  /** At once and without waiting: this process itself is about to end. */
  killNow(): void {
    this.starting?.kill('SIGKILL');
    this.running?.kill('SIGKILL');
  }

  /** After the campaign: no process stays. */
  async clear(): Promise<void> {
    this.isOver = true;
    this.killNow();
    await this.kill();
    await Promise.all([this.toPostgres.stop(), this.toRedis.stop(), this.fromClients?.stop()]);
    this.log.end();
  }

  private async tryStart(): Promise<string | undefined> {
    const late = setTimeout(() => this.starting?.kill('SIGKILL'), START_MS);
    try {
      const running = await startServer(this.environment(), (spawned) => {
        this.starting = spawned;
        spawned.stderr?.on('data', (chunk) => this.log.write(chunk));
      });
      this.running = running;
      this.state = 'up';
      this.note('up');
      this.watch(running);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      clearTimeout(late);
      this.starting = undefined;
    }
  }

  private watch(running: ServerProcess): void {
    void running.ended.then(({ code, signal }) => {
      if (this.running === running) this.running = undefined;
      if (this.state === 'stopping') return;
      this.state = 'down';
      this.note('ended_by_itself', `code ${code}, signal ${signal}`);
    });
  }

  private note(what: NodeLife['what'], detail?: string): void {
    this.place.note({
      t: 'node',
      name: this.name,
      what,
      atMs: monotonicMs(),
      ...(detail === undefined ? {} : { detail }),
    });
  }

  private environment(): Record<string, string> {
    const database = new URL(this.place.databaseUrl);
    database.port = String(this.toPostgres.port);
    return {
      PORT: String(this.place.port),
      DATABASE_URL: database.href,
      REDIS_URL: `redis://127.0.0.1:${this.toRedis.port}`,
      BATON_ROLES: this.roles,
      BATON_NODE_NAME: this.name,
      BATON_DATA_DIR: this.place.dataDirectory,
      BATON_ADMIN_TOKEN: this.place.adminToken,
      BATON_SAMPLE: '0',
      LOG_LEVEL: 'info',
    };
  }
}
