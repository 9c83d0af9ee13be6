import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { stopLeftPostgres } from '../../app/postgres/index.ts';

const LAUNCHER = fileURLToPath(new URL('../../app/bin.js', import.meta.url));
const READY_TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 20;
const OUTPUT_KEPT = 8_000;

/** `baton serve` as a process of its own, with its embedded Postgres, for killing. */
export class ServerProcess {
  readonly port: number;
  readonly #dataDirectory: string;
  readonly #adminToken: string;
  #child: ChildProcess | undefined;
  #output = '';
  readonly #waiters = new Set<() => void>();
  #isReady = false;

  private constructor(args: { port: number; dataDirectory: string; adminToken: string }) {
    this.port = args.port;
    this.#dataDirectory = args.dataDirectory;
    this.#adminToken = args.adminToken;
  }

  static async start(args: { dataDirectory: string; adminToken: string }): Promise<ServerProcess> {
    const server = new ServerProcess({ ...args, port: await freePort() });
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, again after it was killed, and waits until it serves. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [LAUNCHER, 'serve'], {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        PORT: String(this.port),
        BATON_DATA_DIR: this.#dataDirectory,
        BATON_ADMIN_TOKEN: this.#adminToken,
        BATON_SAMPLE: '0',
        LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_KEPT);
      });
    }
    await vi.waitFor(() => this.#assertReady(child), { timeout: READY_TIMEOUT_MS, interval: LOOK_EVERY_MS });
    this.#isReady = true;
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }

  /** Settles when it serves; at once if it does. */
  untilReady(): Promise<void> {
    if (this.#isReady) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  /** The last that it wrote, for whoever has to find out what went wrong. */
  get output(): string {
    return this.#output;
  }

  /** kill -9 of the server; its Postgres runs on. */
  async kill(): Promise<void> {
    const child = this.#running();
    const exited = once(child, 'exit');
    this.#isReady = false;
    child.kill('SIGKILL');
    await exited;
    this.#child = undefined;
  }

  /** kill -9 of the server and of its Postgres, as when the machine fails. */
  async killWithPostgres(): Promise<void> {
    const postmaster = this.#postmasterPid();
    await this.kill();
    process.kill(postmaster, 'SIGKILL');
  }

  /** Asks it to stop. @returns its exit code */
  async stop(): Promise<number | null> {
    const child = this.#running();
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    this.#child = undefined;
    return child.exitCode;
  }

  /** After a test, however it went: no process stays. */
  async clear(): Promise<void> {
    if (this.#child !== undefined && this.#child.exitCode === null) await this.kill();
    await stopLeftPostgres(this.#dataDirectory);
  }

  async #assertReady(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${this.#output}`);
    const { status } = await fetch(`${this.url}/health/ready`);
    if (status !== 200) throw new Error(`not ready: ${status}\n${this.#output}`);
  }

  #running(): ChildProcess {
    if (this.#child === undefined || this.#child.exitCode !== null)
      throw new Error(`the server does not run:\n${this.#output}`);
    return this.#child;
  }

  #postmasterPid(): number {
    const [pid = ''] = readFileSync(join(this.#dataDirectory, 'postgres', 'postmaster.pid'), 'utf8').split(
      '\n',
    );
    return Number(pid);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('there is no port');
  return address.port;
}
