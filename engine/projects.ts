import type { EngineContext } from './context.ts';
import { projectBar } from './eligibility.ts';
import type { Incarnation, ProjectId, ShardId } from './ids.ts';
import { type Refusal, refuse } from './refusals.ts';
import type { Member } from './roster.ts';
import { Shard } from './shard/shard.ts';
import type { ProjectRow } from './store/store.ts';
import { StoreError } from './store/store-error.ts';

/**
 * The projects this node knows and the shards it has touched. Rows are read when the node starts and when it is
 * told of a change, so a request for "any of my projects" reads nothing.
 */
export class Projects {
  private readonly rows = new Map<ProjectId, ProjectRow>();
  private readonly bySlug = new Map<string, ProjectRow>();
  private readonly shards = new Map<ShardId, Shard>();
  private readonly context: EngineContext;
  private readonly ownership: { incarnation(): Incarnation; readonly termMs: number };
  private readonly random: () => number;

  constructor(
    context: EngineContext,
    ownership: { incarnation(): Incarnation; readonly termMs: number },
    random: () => number,
  ) {
    this.context = context;
    this.ownership = ownership;
    this.random = random;
  }

  async readAll(): Promise<void> {
    for (const row of await this.context.store.listProjects()) this.enter(row);
  }

  /** Reads one project anew. @returns undefined when there is none. @throws when the database is away. */
  async refresh(projectId: ProjectId): Promise<ProjectRow | undefined> {
    const row = await this.context.store.readProject(projectId);
    if (row) this.enter(row);
    return row;
  }

  async find(projectId: ProjectId): Promise<ProjectRow | undefined> {
    return this.rows.get(projectId) ?? (await this.refresh(projectId));
  }

  bySlugs(slugs: readonly string[]): ProjectRow[] {
    const rows: ProjectRow[] = [];
    for (const slug of new Set(slugs)) {
      const row = this.bySlug.get(slug);
      if (row) rows.push(row);
    }
    return rows;
  }

  /** Every project that is not archived: higher priority first, equal ones shuffled in proportion to their weight. */
  inOrder(among: Iterable<ProjectRow> = this.rows.values()): ProjectRow[] {
    const keyed: { row: ProjectRow; key: number }[] = [];
    for (const row of among) {
      if (row.status === 'archived') continue;
      // Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006): order by u^(1/weight).
      keyed.push({ row, key: this.random() ** (1 / row.settings.weight) });
    }
    keyed.sort((a, b) => b.row.settings.projectPriority - a.row.settings.projectPriority || b.key - a.key);
    return keyed.map((k) => k.row);
  }

  /** The shard of a project by its number, known or not. */
  async findShard(projectId: ProjectId): Promise<Shard | Refusal> {
    try {
      const row = await this.find(projectId);
      return row ? this.shardOf(row) : refuse('not_found');
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
    }
  }

  /** Looks again at what this annotator waits for: they are back, or may do more than before. */
  async serve(member: Member): Promise<void> {
    for (const room of [...member.waitingIn]) await room.serveWaiter(member.row.id);
  }

  /** A project is new to them: who waits for it, or for any, waits there too. */
  joinWaiting(member: Member, row: ProjectRow): void {
    const { asked } = member;
    if (asked === undefined || member.waitingIn.size === 0 || row.status === 'archived') return;
    if (asked.projects !== undefined && !asked.projects.includes(row.slug)) return;
    if (projectBar(member.row, row) !== 'not_member') this.shardOf(row).addWaiter(member, asked.requestId);
  }

  shardOf(row: ProjectRow): Shard {
    return this.shard(row.shardId, row.id);
  }

  shard(shardId: ShardId, projectId: ProjectId): Shard {
    let shard = this.shards.get(shardId);
    if (!shard) {
      shard = new Shard({ context: this.context, ownership: this.ownership, shardId, projectId });
      this.shards.set(shardId, shard);
    }
    return shard;
  }

  allShards(): IterableIterator<Shard> {
    return this.shards.values();
  }

  /** @returns false while a shard that this node is taking over is not to be had. @throws when the database is away. */
  async recovered(): Promise<boolean> {
    const recovering = [...this.shards.values()].filter((shard) => shard.recovering);
    const terms = await Promise.all(recovering.map((shard) => shard.load()));
    return terms.every((term) => term !== undefined);
  }

  private enter(row: ProjectRow): void {
    this.rows.set(row.id, row);
    this.bySlug.set(row.slug, row);
  }
}
