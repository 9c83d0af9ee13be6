import type { EngineContext } from '../context.ts';
import type { Incarnation, ShardId } from '../ids.ts';
import type { Projects } from '../projects.ts';
import type { Shard } from '../shard/shard.ts';
import type { Directory } from './directory.ts';
import type { NodeDoor } from './node-door.ts';
import { spread, surplusOf } from './placement.ts';

/** Shards handed over at a time: each is served by nobody for a moment. */
const MOVES_AT_ONCE = 4;

/**
 * Moves ownership by itself. Nobody coordinates: every engine computes the same plan from what the database says and acts
 * on its own part. Where two differ for a moment, the taking of a shard in the database decides.
 */
export class Balancer {
  private busy: Promise<void> | undefined;
  private readonly args: {
    readonly store: EngineContext['store'];
    readonly directory: Directory;
    readonly projects: Projects;
    readonly incarnation: () => Incarnation;
    readonly mayGrant: () => boolean;
    readonly peer: (incarnation: Incarnation) => NodeDoor | undefined;
    readonly announce: () => void;
    readonly incident: EngineContext['incident'];
  };

  constructor(args: Balancer['args']) {
    this.args = args;
  }

  /** After each look at the directory. Never rejects. */
  tick(): Promise<void> {
    this.busy ??= this.run()
      .catch((error: unknown) => this.args.incident({ kind: 'load_failed', error }))
      .finally(() => {
        this.busy = undefined;
      });
    return this.busy;
  }

  /**
   * Loads the shards whose leases nobody watches: their owner is dead, or gave them back to nobody. Other shards wait to be
   * asked for. @throws when the database is away.
   */
  async adoptOrphans(): Promise<void> {
    const { directory, store, projects, incarnation } = this.args;
    const isOrphan = (shardId: ShardId) => directory.ownerOf(shardId) === undefined;
    if (![...directory.allShards()].some(({ shardId }) => isOrphan(shardId))) return;
    const orphans = (await store.shardsWithOpenLeases()).filter(({ shardId }) => isOrphan(shardId));
    const plan = spread(
      orphans.map(({ shardId }) => shardId),
      directory.load(),
    );
    for (const { shardId, projectId } of orphans) {
      if (plan.get(shardId) === incarnation()) await projects.shard(shardId, projectId).load();
    }
  }

  /** A graceful stop: every shard goes to another engine, those with fewest leases last. */
  async handOverAll(): Promise<void> {
    const load = this.args.directory.load();
    load.delete(this.args.incarnation());
    const shards = [...this.args.projects.allShards()].filter((shard) => shard.term);
    const plan = spread(
      shards.map((shard) => shard.shardId),
      load,
    );
    const moves = shards.flatMap((shard) => {
      const to = plan.get(shard.shardId);
      return to === undefined ? [] : [this.move(shard, to)];
    });
    await Promise.all(moves);
  }

  private async run(): Promise<void> {
    const { directory, projects, incarnation, mayGrant } = this.args;
    if (!mayGrant()) return;
    await this.adoptOrphans();
    const targets = surplusOf(incarnation(), directory.load()).slice(0, MOVES_AT_ONCE);
    if (targets.length === 0) return;
    const owned = [...projects.allShards()].filter((shard) => shard.term);
    owned.sort((a, b) => (a.term?.leases.size ?? 0) - (b.term?.leases.size ?? 0));
    await Promise.all(
      targets.map(async (to, i) => {
        const shard = owned[i];
        if (shard && (await this.isThere(to, shard))) await this.move(shard, to);
      }),
    );
  }

  /**
   * Whether it answers: an engine that has joined may not serve yet, or not be reached, and a shard that it does not take is
   * served by nobody until somebody finds it, to be handed to it again.
   */
  private async isThere(to: Incarnation, { projectId }: Shard): Promise<boolean> {
    const answer = await this.args.peer(to)?.control({ kind: 'live', projectId });
    return answer?.ok ?? false;
  }

  /** If the other does not take it, it is an orphan, and found by the next look of anybody. */
  private async move(shard: Shard, to: Incarnation): Promise<void> {
    const { peer, announce, incident } = this.args;
    const { shardId, projectId } = shard;
    try {
      await shard.handOver();
      await peer(to)?.control({ kind: 'adopt', shardId, projectId });
      incident({ kind: 'shard_moved', shardId, detail: `to ${to}` });
      announce();
    } catch (error) {
      incident({ kind: 'load_failed', error, shardId });
    }
  }
}
