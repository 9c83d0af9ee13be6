import type { Catalog } from './catalog.ts';
import type { EngineContext } from './context.ts';
import { projectBar } from './eligibility.ts';
import type { AssignmentRef, ProjectId, ShardId, TaskId } from './ids.ts';
import { type Refusal, refuse } from './refusals.ts';
import type { Member } from './roster.ts';
import { type Ownership, Shard } from './shard/shard.ts';
import type { ProjectRow } from './store/store.ts';
import { StoreError } from './store/store-error.ts';

/** The shards that this node has touched, and which of a project's it serves. */
export class Projects {
  private readonly shards = new Map<ShardId, Shard>();
  private readonly context: EngineContext;
  private readonly ownership: Ownership;
  private readonly catalog: Catalog;

  constructor(context: EngineContext, ownership: Ownership, catalog: Catalog) {
    this.context = context;
    this.ownership = ownership;
    this.catalog = catalog;
  }

  /** @throws when the database is away. */
  refresh(projectId: ProjectId): Promise<ProjectRow | undefined> {
    return this.catalog.refresh(projectId);
  }

  bySlugs(slugs: readonly string[]): ProjectRow[] {
    return this.catalog.bySlugs(slugs);
  }

  inOrder(among?: Iterable<ProjectRow>): ProjectRow[] {
    return this.catalog.inOrder(among);
  }

  /** The shard that a lease is, or was, in. */
  findLeaseShard(ref: AssignmentRef): Promise<Shard | Refusal> {
    return this.locate(ref.projectId, async (shardIds) => {
      const loaded = shardIds.find((id) => this.shards.get(id)?.term?.leases.has(ref.id));
      return loaded ?? (await this.context.store.readAssignment(ref))?.shardId;
    });
  }

  findTaskShard(projectId: ProjectId, taskId: TaskId): Promise<Shard | Refusal> {
    return this.locate(projectId, (shardIds) => {
      const loaded = shardIds.find((id) => this.shards.get(id)?.term?.tasks.has(taskId));
      return Promise.resolve(loaded ?? this.context.store.shardOfTask(projectId, taskId));
    });
  }

  /** @param among asked which, if the project has several. */
  private async locate(
    projectId: ProjectId,
    among: (shardIds: readonly ShardId[]) => Promise<ShardId | undefined>,
  ): Promise<Shard | Refusal> {
    try {
      const row = await this.catalog.find(projectId);
      if (!row) return refuse('not_found');
      const [first] = row.shardIds;
      const shardId = row.shardIds.length === 1 ? first : await among(row.shardIds);
      return shardId === undefined ? refuse('not_found') : this.shard(shardId, projectId);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
    }
  }

  /** Looks again at what this annotator waits for: they are back, or may do more than before. */
  async serve(member: Member): Promise<void> {
    for (const room of [...member.waitingIn]) await room.serveWaiter(member.row.id);
  }

  /** @param shardIds a project, or parts of one, that are new to them: who waits for it, or for any, waits there too. */
  joinWaiting(member: Member, row: ProjectRow, shardIds: readonly ShardId[] = row.shardIds): void {
    const { asked } = member;
    if (asked === undefined || member.waitingIn.size === 0 || row.status === 'archived') return;
    if (asked.projects !== undefined && !asked.projects.includes(row.slug)) return;
    if (projectBar(member.row, row) === 'not_member') return;
    for (const shard of this.servedOf({ id: row.id, shardIds })) {
      if (!member.waitingIn.has(shard)) shard.addWaiter(member, asked.requestId, asked.sole);
    }
  }

  /** The project's shards that this node serves. @param take nobody's, to be taken by this node. */
  servedOf(row: Pick<ProjectRow, 'id' | 'shardIds'>, take: ReadonlySet<ShardId> = new Set()): Shard[] {
    const served = row.shardIds.filter(
      (id) => this.shards.get(id)?.term !== undefined || take.has(id) || this.ownership.isOurs(id),
    );
    return served.map((id) => this.shard(id, row.id));
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

  isServed(shardId: ShardId): boolean {
    return this.shards.get(shardId)?.term !== undefined;
  }

  /** Loads these shards, or waits for it. @returns false when one is not to be had. @throws when the database is away. */
  async loaded(shardIds: readonly ShardId[]): Promise<boolean> {
    for (const shardId of shardIds) {
      if (this.shards.get(shardId)?.term) continue;
      const projectId = this.ownership.projectOf(shardId);
      if (projectId === undefined || !(await this.shard(shardId, projectId).load())) return false;
    }
    return true;
  }

  /** @returns false while a shard that this node is taking over is not to be had. @throws when the database is away. */
  async recovered(): Promise<boolean> {
    const recovering = [...this.shards.values()].filter((shard) => shard.recovering);
    const terms = await Promise.all(recovering.map((shard) => shard.load()));
    return terms.every((term) => term !== undefined);
  }
}
