import type { Address } from '../bus/bus.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Incarnation, ProjectId, ShardId } from '../ids.ts';
import type { NodeRow, ShardOwner, Store } from '../store/store.ts';

/** How often the database is read when nobody says that something has changed, in ms. */
const REFRESH_MS = 1_000;
/** Moves are numbered before they are committed: those of the last ones that were still under way are read again. */
const MOVES_AGAIN = 256;

export interface DirectoryChange {
  readonly left: readonly NodeRow[];
  readonly joined: readonly NodeRow[];
  readonly moved: readonly ShardOwner[];
  /** Tasks came to these, and whoever brought them has not told their owners, or not yet. */
  readonly news: readonly ShardOwner[];
}

/**
 * Who is alive and who owns which shard, as the database said a moment ago. Only a hint of where to ask: an owner proves
 * itself by the fence, and one that is asked in error says so.
 */
export class Directory {
  readonly hasBus: boolean;
  private nodes = new Map<Incarnation, NodeRow>();
  private readonly shards = new Map<ShardId, ShardOwner>();
  private lastMove = 0;
  private timer: Timer | undefined;
  private reading: Promise<void> | undefined;
  private again: Promise<void> | undefined;
  private stopped = false;
  private readonly args: {
    readonly store: Pick<Store, 'liveNodes' | 'shardOwners'>;
    readonly clock: Clock;
    readonly termMs: number;
    /** This process, once it has joined. */
    readonly self: () => Incarnation | undefined;
    readonly hasBus: boolean;
    readonly onChange: (change: DirectoryChange) => void;
    readonly onError: (error: unknown) => void;
  };

  constructor(args: Directory['args']) {
    this.args = args;
    this.hasBus = args.hasBus;
  }

  /** @throws when the database is away. */
  async start(): Promise<void> {
    await this.read();
    this.schedule();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  /** Reads what is new; calls that come while a read is under way share the one after it. Never rejects. */
  refresh(): Promise<void> {
    if (!this.reading) {
      this.reading = this.read()
        .catch(this.args.onError)
        .finally(() => {
          this.reading = undefined;
        });
      return this.reading;
    }
    this.again ??= this.reading.then(() => {
      this.again = undefined;
      return this.refresh();
    });
    return this.again;
  }

  /** Without a bus nobody else can be reached: then this process tries everything itself. */
  get isAlone(): boolean {
    return !this.hasBus || this.engines().length <= 1;
  }

  live(): NodeRow[] {
    return [...this.nodes.values()];
  }

  engines(): NodeRow[] {
    const { self } = this.args;
    return this.live().filter(
      (node) =>
        node.roles.includes('engine') &&
        (node.incarnation === self() || (this.hasBus && node.address !== '')),
    );
  }

  node(incarnation: Incarnation): NodeRow | undefined {
    return this.nodes.get(incarnation);
  }

  isLive(address: Address): boolean {
    return this.live().some((node) => node.address === address);
  }

  /** @returns the live owner of the shard, if it has one. */
  ownerOf(shardId: ShardId): NodeRow | undefined {
    const owner = this.shards.get(shardId)?.owner ?? undefined;
    return owner === undefined ? undefined : this.nodes.get(owner);
  }

  projectOf(shardId: ShardId): ProjectId | undefined {
    return this.shards.get(shardId)?.projectId;
  }

  allShards(): IterableIterator<ShardOwner> {
    return this.shards.values();
  }

  /** How many shards each live engine owns. */
  load(): Map<Incarnation, number> {
    const load = new Map(this.engines().map((node) => [node.incarnation, 0]));
    for (const { owner } of this.shards.values()) {
      const count = owner === null ? undefined : load.get(owner);
      if (owner !== null && count !== undefined) load.set(owner, count + 1);
    }
    return load;
  }

  /** This very process knows first what it took or gave back. */
  note(shardId: ShardId, projectId: ProjectId, owner: Incarnation | null): void {
    const move = this.shards.get(shardId)?.move ?? 0;
    this.shards.set(shardId, { shardId, projectId, owner, move, hasNews: false });
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = this.args.clock.setTimer(REFRESH_MS, () => {
      void this.refresh().then(() => this.schedule());
    });
  }

  private async read(): Promise<void> {
    const { store, termMs, onChange } = this.args;
    const [nodes, owners] = await Promise.all([
      store.liveNodes(termMs),
      store.shardOwners(Math.max(0, this.lastMove - MOVES_AGAIN)),
    ]);
    const before = this.nodes;
    this.nodes = new Map(nodes.map((node) => [node.incarnation, node]));
    const moved: ShardOwner[] = [];
    for (const owner of owners) {
      this.lastMove = Math.max(this.lastMove, owner.move);
      const known = this.shards.get(owner.shardId);
      if (known !== undefined && known.move > owner.move) continue;
      if (known?.owner !== owner.owner) moved.push(owner);
      this.shards.set(owner.shardId, owner);
    }
    if (this.stopped) return;
    onChange({
      left: [...before.values()].filter((node) => !this.nodes.has(node.incarnation)),
      joined: nodes.filter((node) => !before.has(node.incarnation)),
      moved,
      news: owners.filter((owner) => owner.hasNews),
    });
  }
}
