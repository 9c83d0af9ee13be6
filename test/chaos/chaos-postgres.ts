import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { openDataDirectory } from '../../app/data-directory.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres, stopLeftPostgres } from '../../app/postgres/index.ts';
import { isProcessRunning } from '../../app/processes.ts';
import { temporaryDirectory } from '../support/cluster.ts';

const STOP_MS = 10_000;
const LOOK_MS = 20;

/** A durable Postgres of its own that can be crashed and restarted at one address, and says when each commit was done. */
export class ChaosPostgres {
  private readonly directory: ReturnType<typeof openDataDirectory>;
  private running: EmbeddedPostgres;
  private isStopped = false;

  private constructor(directory: ReturnType<typeof openDataDirectory>, running: EmbeddedPostgres) {
    this.directory = directory;
    this.running = running;
  }

  static async start(): Promise<ChaosPostgres> {
    const directory = openDataDirectory(temporaryDirectory());
    return new ChaosPostgres(directory, await startIn(directory.path));
  }

  get url(): string {
    return this.running.url;
  }

  get port(): number {
    return this.running.port;
  }

  /** `immediate` is a crash: the next start replays the log. `fast` rolls back what is open. */
  async restart(how: 'immediate' | 'fast', awayMs: number): Promise<void> {
    const { pid, port } = this.running;
    process.kill(pid, how === 'immediate' ? 'SIGQUIT' : 'SIGINT');
    const deadlineMs = performance.now() + STOP_MS;
    while (isProcessRunning(pid) && performance.now() < deadlineMs) await delay(LOOK_MS);
    await stopLeftPostgres(this.directory.path, STOP_MS);
    await delay(awayMs);
    this.running = await startIn(this.directory.path);
    if (this.running.port !== port)
      throw new Error(`Postgres moved from port ${port} to ${this.running.port}`);
  }

  /** At once and without waiting: this process itself is about to end. */
  killNow(): void {
    if (!this.isStopped && isProcessRunning(this.running.pid)) process.kill(this.running.pid, 'SIGQUIT');
  }

  async stop(): Promise<void> {
    await this.running.stop(STOP_MS);
    this.isStopped = true;
    this.directory.release();
    rmSync(this.directory.path, { recursive: true, force: true });
  }
}

function startIn(dataDirectory: string): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({
    dataDirectory,
    durable: true,
    settings: { max_connections: '300', shared_buffers: '64MB', track_commit_timestamp: 'on' },
  });
}
