import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stopLeftPostgres } from '../../app/postgres/index.ts';
import { type ServerProcess, startServer } from '../support/server-process.ts';

/** One `baton serve` after the other on the same data, its embedded Postgres included, and at the same address. */
export class KillableServer {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #dataDirectory: string;
  readonly #waiters = new Set<() => void>();
  #process: ServerProcess;
  #isUp = true;

  private constructor(args: {
    process: ServerProcess;
    environment: Readonly<Record<string, string>>;
    dataDirectory: string;
  }) {
    this.#process = args.process;
    this.#environment = args.environment;
    this.#dataDirectory = args.dataDirectory;
  }

  static async start(dataDirectory: string): Promise<KillableServer> {
    const environment = { BATON_DATA_DIR: dataDirectory, BATON_SAMPLE: '0', LOG_LEVEL: 'warn' };
    const process = await startServer(environment);
    const { port } = new URL(process.url);
    return new KillableServer({ process, environment: { ...environment, PORT: port }, dataDirectory });
  }

  get url(): string {
    return this.#process.url;
  }

  get adminToken(): string {
    return this.#process.adminToken;
  }

  log(): string {
    return this.#process.log();
  }

  /** Settles when it serves; at once if it does. */
  untilUp(): Promise<void> {
    if (this.#isUp) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  /** kill -9 of the server, or of its Postgres too, as when the machine fails; then a new start. */
  async killAndRestart({ withPostgres }: { withPostgres: boolean }): Promise<void> {
    const postmaster = this.#postmasterPid();
    this.#isUp = false;
    this.#process.kill('SIGKILL');
    if (withPostgres) process.kill(postmaster, 'SIGKILL');
    await this.#process.ended;
    this.#process = await startServer(this.#environment);
    this.#isUp = true;
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }

  /** Asks it to stop. @returns its exit code */
  async stop(): Promise<number | null> {
    this.#process.kill('SIGTERM');
    return (await this.#process.ended).code;
  }

  /** After a test, however it went: no process stays. */
  async clear(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#process.ended;
    await stopLeftPostgres(this.#dataDirectory);
  }

  #postmasterPid(): number {
    const [pid = ''] = readFileSync(join(this.#dataDirectory, 'postgres', 'postmaster.pid'), 'utf8').split(
      '\n',
    );
    return Number(pid);
  }
}
