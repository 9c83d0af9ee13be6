import type { Address } from './bus/bus.ts';
import type { Clock, Timer } from './clock.ts';
import type { AnnotatorId, AssignmentId } from './ids.ts';
import { type Result, refuse } from './refusals.ts';
import type { Lease } from './shard/lease.ts';
import type { Term } from './shard/term.ts';
import type { AnnotatorRow, Store } from './store/store.ts';
import { StoreError } from './store/store-error.ts';

/** Somewhere an annotator waits: a shard. */
export interface WaitingRoom {
  readonly term: Term | undefined;
  /**
   * @param sole nobody else can give them anything: what comes free is leased to them at once.
   * @returns false when too many wait already.
   */
  addWaiter(member: Member, requestId: string, sole: boolean): boolean;
  dropWaiter(annotatorId: AnnotatorId): void;
  /** Looks once for something for this annotator, if they wait here. @throws when the database is away. */
  serveWaiter(annotatorId: AnnotatorId): Promise<void>;
  /** The same, with nobody waiting for it. */
  serveLater(annotatorId: AnnotatorId): void;
}

/** One annotator, as this node knows them. Capacity is counted from leases, never from connections (I2). */
export interface Member {
  row: AnnotatorRow;
  /** Where they are, each with the number of the message that said so last. */
  readonly gateways: Map<Address, number>;
  /** By session:pause or a missed offer: nothing is pushed. */
  paused: boolean;
  readonly leases: Map<AssignmentId, Lease>;
  /** Places of capacity that leases at other nodes fill, as the gateway said last. The database has the last word (I2). */
  elsewhere: ReadonlySet<number>;
  readonly waitingIn: Set<WaitingRoom>;
  /** What they wait for, while they wait: a project that is created now may be of it. */
  asked:
    | { readonly requestId: string; readonly projects: readonly string[] | undefined; readonly sole: boolean }
    | undefined;
  /** Runs after the last socket went; when it fires the annotator stops waiting. */
  grace: Timer | undefined;
  /** Commands of this annotator that are running. */
  uses: number;
}

/**
 * Who is here, across the shards of this node.
 *
 * R1 A member stays while it has a socket, a lease, a place in a queue or a command running; others are let go and
 *    read again. So there is never a second object for somebody who holds a lease.
 * R2 Open leases are entered before they are committed, so two shards cannot both use the last free place.
 */
export class Roster {
  private readonly members = new Map<AnnotatorId, Member>();
  private readonly store: Store;
  private readonly clock: Clock;
  private readonly retryAfterMs: number;

  constructor(args: { store: Store; clock: Clock; retryAfterMs: number }) {
    this.store = args.store;
    this.clock = args.clock;
    this.retryAfterMs = args.retryAfterMs;
  }

  get size(): number {
    return this.members.size;
  }

  peek(annotatorId: AnnotatorId): Member | undefined {
    return this.members.get(annotatorId);
  }

  all(): IterableIterator<Member> {
    return this.members.values();
  }

  /** Runs a command of this annotator; a lost database is a retryable refusal. */
  async use<T>(annotatorId: AnnotatorId, run: (member: Member) => Promise<Result<T>>): Promise<Result<T>> {
    try {
      const [member] = await this.hold([annotatorId]);
      if (!member) return refuse('not_found', 'There is no such annotator.');
      try {
        return await run(member);
      } finally {
        this.release(member);
      }
    } catch (error) {
      if (error instanceof StoreError)
        return refuse('unavailable', undefined, { retryAfterMs: this.retryAfterMs });
      throw error;
    }
  }

  /**
   * These annotators, read if need be (a shard's lease holders are read together), each counted as in use from the
   * moment it is found: nobody may be let go while the others are on their way. Release them all.
   *
   * @returns those that exist. @throws when the database is away.
   */
  async hold(ids: readonly AnnotatorId[]): Promise<Member[]> {
    const held: Member[] = [];
    const missing: AnnotatorId[] = [];
    const enter = (member: Member) => {
      member.uses += 1;
      held.push(member);
    };
    for (const id of ids) {
      const member = this.members.get(id);
      if (member) enter(member);
      else missing.push(id);
    }
    if (missing.length === 0) return held;
    try {
      for (const row of await this.store.readAnnotators(missing)) {
        const member = this.members.get(row.id) ?? newMember(row);
        this.members.set(row.id, member);
        enter(member);
      }
    } catch (error) {
      for (const member of held) this.release(member);
      throw error;
    }
    return held;
  }

  release(member: Member): void {
    member.uses -= 1;
    this.letGo(member);
  }

  /** The row changed on disk. @returns the member with its new row, or undefined if it is not here. */
  async refresh(annotatorId: AnnotatorId): Promise<Member | undefined> {
    const member = this.members.get(annotatorId);
    if (!member) return undefined;
    const [row] = await this.store.readAnnotators([annotatorId]);
    if (row) member.row = row;
    return member;
  }

  /** The smallest free place of this annotator's capacity, or undefined when all are taken. */
  freeCapacitySlot(member: Member): number | undefined {
    if (member.leases.size >= member.row.capacity) return undefined;
    const taken = new Set<number>(member.elsewhere);
    for (const lease of member.leases.values()) taken.add(lease.capacitySlot);
    for (let slot = 0; slot < member.row.capacity; slot++) if (!taken.has(slot)) return slot;
    return undefined;
  }

  connected(member: Member, gateway: Address, rev: number): void {
    member.gateways.set(gateway, Math.max(rev, member.gateways.get(gateway) ?? 0));
    member.grace?.cancel();
    member.grace = undefined;
  }

  /**
   * @param rev of the message that says so: one that is older than what put them there changes nothing.
   * @returns true when that was the last gateway they were at.
   */
  disconnected(member: Member, gateway: Address, rev: number, graceMs: number): boolean {
    const since = member.gateways.get(gateway);
    if (since === undefined || since > rev) return false;
    member.gateways.delete(gateway);
    if (member.gateways.size > 0) return false;
    member.grace?.cancel();
    member.grace = this.clock.setTimer(graceMs, () => {
      this.stopWaiting(member);
      this.letGo(member);
    });
    return true;
  }

  stopWaiting(member: Member): void {
    for (const room of [...member.waitingIn]) room.dropWaiter(member.row.id);
    member.waitingIn.clear();
    member.asked = undefined;
  }

  letGo(member: Member): void {
    const idle =
      member.uses === 0 &&
      member.gateways.size === 0 &&
      member.leases.size === 0 &&
      member.waitingIn.size === 0;
    if (idle && this.members.get(member.row.id) === member) this.members.delete(member.row.id);
  }

  stop(): void {
    for (const member of this.members.values()) member.grace?.cancel();
  }
}

function newMember(row: AnnotatorRow): Member {
  return {
    row,
    gateways: new Map(),
    paused: false,
    leases: new Map(),
    elsewhere: new Set(),
    waitingIn: new Set(),
    asked: undefined,
    grace: undefined,
    uses: 0,
  };
}
