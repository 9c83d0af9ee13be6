import type { Address } from '../bus/bus.ts';
import type { Catalog } from '../catalog.ts';
import type { Clock } from '../clock.ts';
import type { AnnotatorId, AssignmentRef, Incarnation, ProjectId, ShardId } from '../ids.ts';
import { type Refusal, type Result, refuse } from '../refusals.ts';
import type { NodeRow, Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import type { DeskLease } from './desk.ts';
import type { Directory } from './directory.ts';
import type { NodeDoor } from './node-door.ts';
import { inOrderFor, placeFor } from './placement.ts';

/** How often an owner is looked for again, and how long between two looks, in ms: a hand-over is over by then. */
export const LOOKS_MAX = 20;
const LOOK_MS = 50;

/** An engine that may have something. */
export interface Candidate {
  readonly address: Address;
  readonly door: NodeDoor;
  /** Shards without an owner that it shall take. */
  readonly take: readonly ShardId[];
  /** No other engine may have something for this request. */
  readonly isOnly: boolean;
  readonly first: ProjectId | undefined;
}

/** Where to ask: engines by what they own, nearest first. */
export class Routes {
  private readonly args: {
    readonly store: Pick<Store, 'readAssignment' | 'shardOfTask'>;
    readonly clock: Clock;
    readonly retryAfterMs: number;
    readonly directory: Directory;
    readonly catalog: Catalog;
    /** This process's own engine, if it is one. */
    readonly local: NodeDoor | undefined;
    readonly localAddress: Address;
    readonly remote: (address: Address) => NodeDoor;
  };

  constructor(args: Routes['args']) {
    this.args = args;
  }

  /** This process's own engine, when there is no other. */
  onlyEngine(): NodeDoor | undefined {
    const { local, directory } = this.args;
    return local !== undefined && directory.isAlone ? local : undefined;
  }

  /**
   * The engines that may have work of these projects: our own first, then the others, in an order that spreads people over
   * the shards of a project.
   *
   * @param projects slugs; absent: any.
   */
  candidates(
    annotatorId: AnnotatorId,
    projects: readonly string[] | undefined,
    first?: ProjectId,
  ): Candidate[] {
    const { local, localAddress, directory } = this.args;
    const only = this.onlyEngine();
    if (only) return [{ address: localAddress, door: only, take: [], isOnly: true, first }];
    const wanted = this.wanted(annotatorId, projects);
    const byEngine = new Map<Address, ShardId[]>();
    const load = directory.load();
    for (const shardId of wanted) {
      const owner = directory.ownerOf(shardId);
      const node = owner ?? this.placed(shardId, load);
      if (!node) continue;
      const take = byEngine.get(node.address) ?? [];
      byEngine.set(node.address, take);
      if (!owner) take.push(shardId);
    }
    // Nothing that we know of: an engine still has to say what is wrong with the request.
    if (byEngine.size === 0) {
      const any = local ? localAddress : directory.engines()[0]?.address;
      if (any !== undefined) byEngine.set(any, []);
    }
    const isOnly = byEngine.size === 1;
    const near = [...byEngine].sort(([a], [b]) => Number(b === localAddress) - Number(a === localAddress));
    return near.map(([address, take]) => ({ address, door: this.door(address), take, isOnly, first }));
  }

  /** The owner of the shard, or who shall take it. */
  engineOf(shardId: ShardId): Candidate | undefined {
    const { directory, localAddress } = this.args;
    const only = this.onlyEngine();
    if (only) return { address: localAddress, door: only, take: [], isOnly: true, first: undefined };
    const node = directory.ownerOf(shardId) ?? this.placed(shardId, directory.load());
    if (!node) return undefined;
    const { address } = node;
    return { address, door: this.door(address), take: [shardId], isOnly: false, first: undefined };
  }

  /**
   * Asks the owner of a shard. One that has lost it says `unavailable`: the owner of this moment is looked up and asked,
   * again and again for as long as a hand-over takes.
   *
   * @param find the shard; asked once more, with `true`, when what memory says of it led nowhere: a task may have moved.
   */
  async atOwner<T>(
    find: (isAgain: boolean) => Promise<ShardId | undefined>,
    ask: (candidate: Candidate) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const only = this.onlyEngine();
    if (only) {
      return ask({ address: this.args.localAddress, door: only, take: [], isOnly: true, first: undefined });
    }
    try {
      return await this.askUntilFound(find, ask);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return this.unavailable();
    }
  }

  /** @param isAgain the database alone says it. */
  async shardOfLease(
    ref: AssignmentRef,
    known: DeskLease | undefined,
    isAgain: boolean,
  ): Promise<ShardId | undefined> {
    if (known && !isAgain) return known.shardId;
    const row = await this.args.catalog.find(ref.projectId);
    if (row?.shardIds.length === 1 && !isAgain) return row.shardIds[0];
    return row && (await this.args.store.readAssignment(ref))?.shardId;
  }

  /** Places of capacity that leases fill at engines other than this. */
  slotsElsewhere(leases: Iterable<DeskLease>, address: Address): number[] {
    const slots: number[] = [];
    if (this.onlyEngine()) return slots;
    for (const { shardId, capacitySlot } of leases) {
      if (this.args.directory.ownerOf(shardId)?.address !== address) slots.push(capacitySlot);
    }
    return slots;
  }

  door(address: Address): NodeDoor {
    const { local, localAddress, remote } = this.args;
    return local !== undefined && address === localAddress ? local : remote(address);
  }

  unavailable(): Refusal {
    return refuse('unavailable', undefined, { retryAfterMs: this.args.retryAfterMs });
  }

  /** Sees what has changed, a moment later if that was done already. */
  async nextLook(isLater: boolean): Promise<void> {
    await this.args.directory.refresh();
    if (isLater) await new Promise<void>((resolve) => this.args.clock.setTimer(LOOK_MS, resolve));
  }

  private async askUntilFound<T>(
    find: (isAgain: boolean) => Promise<ShardId | undefined>,
    ask: (candidate: Candidate) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    let answer: Result<T> = this.unavailable();
    let asked: Address | undefined;
    let shardId = await find(false);
    for (let look = 0; look < LOOKS_MAX; look++) {
      if (look === 1) shardId = await find(true);
      if (shardId === undefined) return refuse('unknown_assignment');
      const candidate = this.engineOf(shardId);
      if (candidate && (look < 2 || candidate.address !== asked)) {
        asked = candidate.address;
        answer = await ask(candidate);
        if (answer.ok || answer.code !== 'unavailable') return answer;
      }
      const owner = this.args.directory.ownerOf(shardId);
      // It owns the shard and cannot answer now: the database, or it, is away. The client tries again by itself.
      if (owner !== undefined && owner.address === asked && look > 0) return answer;
      await this.nextLook(look > 0);
    }
    return answer;
  }

  private placed(shardId: ShardId, load: ReadonlyMap<Incarnation, number>): NodeRow | undefined {
    const incarnation = placeFor(shardId, load);
    return incarnation === undefined ? undefined : this.args.directory.node(incarnation);
  }

  private wanted(annotatorId: AnnotatorId, projects: readonly string[] | undefined): ShardId[] {
    const { catalog } = this.args;
    const rows = projects === undefined ? catalog.inOrder() : catalog.bySlugs(projects);
    return rows.flatMap((row) => inOrderFor(annotatorId, row.shardIds));
  }
}
