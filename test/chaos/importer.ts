import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { CallFailure, type ChaosCluster } from './chaos-cluster.ts';
import { monotonicMs } from './history.ts';
import type { Recorder } from './recorder.ts';

const EVERY_MS = 1_000;
const QUERY_MS = 3_000;
const TRIES_MAX = 40;
const AGAIN_MS = 400;

/** Keeps a little work ready in each project, by imports over HTTP that are repeated until they are answered. */
export class Importer {
  private isStopped = false;
  private made = 0;
  private readonly args: {
    readonly cluster: ChaosCluster;
    readonly recorder: Recorder;
    readonly projects: readonly string[];
    /** Tasks per project that are not complete, at least. */
    readonly backlog: number;
    readonly batch: number;
  };

  constructor(args: Importer['args']) {
    this.args = args;
  }

  /** Until `stop`. */
  async run(): Promise<void> {
    while (!this.isStopped) {
      const open = await this.openTasks();
      for (const project of this.args.projects) {
        if (!this.isStopped && open !== undefined && (open.get(project) ?? 0) < this.args.backlog)
          await this.importBatch(project);
      }
      await delay(EVERY_MS);
    }
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Under the same external ids until somebody has answered: that must make nothing twice. */
  private async importBatch(project: string): Promise<void> {
    const externalIds = Array.from({ length: this.args.batch }, () => `${project}-${++this.made}`);
    const rows = externalIds.map((externalId) => ({ externalId, data: { question: externalId } }));
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const startMs = monotonicMs();
      const line = { t: 'import' as const, project, externalIds, startMs };
      try {
        await this.args.cluster.call('POST', `/api/projects/${project}/tasks`, rows);
        this.args.recorder.write({ ...line, endMs: monotonicMs(), outcome: 'ok' });
        return;
      } catch (error) {
        if (!(error instanceof CallFailure)) throw error;
        this.args.recorder.write({
          ...line,
          endMs: monotonicMs(),
          outcome: error.outcome,
          code: error.code,
        });
        await delay(AGAIN_MS);
      }
    }
  }

  /** Asked of the database itself: undefined while it is away. */
  private async openTasks(): Promise<ReadonlyMap<string, number> | undefined> {
    const client = new pg.Client({
      connectionString: this.args.cluster.postgres.url,
      connectionTimeoutMillis: QUERY_MS,
      query_timeout: QUERY_MS,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ slug: string; open: number }>(
        `select p.slug, count(t.id)::int as open from projects p
         left join tasks t on t.project_id = p.id and t.state = 1 group by p.slug`,
      );
      return new Map(rows.map(({ slug, open }) => [slug, open]));
    } catch {
      // Postgres is being restarted: looked at again at the next turn.
      return undefined;
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
