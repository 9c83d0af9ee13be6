import type { ProjectId, ShardId } from './ids.ts';
import type { ProjectRow, Store } from './store/store.ts';

/**
 * The projects this process knows. Rows are read when it starts and when it is told of a change, so a request for "any
 * of my projects" reads nothing.
 */
export class Catalog {
  private readonly rows = new Map<ProjectId, ProjectRow>();
  private readonly slugs = new Map<string, ProjectRow>();
  private readonly store: Pick<Store, 'listProjects' | 'readProject'>;
  private readonly random: () => number;

  constructor(store: Pick<Store, 'listProjects' | 'readProject'>, random: () => number) {
    this.store = store;
    this.random = random;
  }

  /** @throws when the database is away. */
  async readAll(): Promise<void> {
    for (const row of await this.store.listProjects()) this.enter(row);
  }

  /** Reads one project anew. @returns undefined when there is none. @throws when the database is away. */
  async refresh(projectId: ProjectId): Promise<ProjectRow | undefined> {
    const row = await this.store.readProject(projectId);
    if (row) this.enter(row);
    return row;
  }

  async find(projectId: ProjectId): Promise<ProjectRow | undefined> {
    return this.rows.get(projectId) ?? (await this.refresh(projectId));
  }

  /** False for a project that is new, or has more shards than when it was read. */
  knows(projectId: ProjectId, shardId: ShardId): boolean {
    return this.rows.get(projectId)?.shardIds.includes(shardId) ?? false;
  }

  bySlugs(slugs: readonly string[]): ProjectRow[] {
    const rows: ProjectRow[] = [];
    for (const slug of new Set(slugs)) {
      const row = this.slugs.get(slug);
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

  private enter(row: ProjectRow): void {
    this.rows.set(row.id, row);
    this.slugs.set(row.slug, row);
  }
}
