import type { Timer } from '../clock.ts';
import type { EngineContext } from '../context.ts';
import { projectBar } from '../eligibility.ts';
import type { AnnotatorId, Incarnation, ProjectId, ShardId, TaskId } from '../ids.ts';
import { type Refusal, type Result, refuse } from '../refusals.ts';
import type { Member, WaitingRoom } from '../roster.ts';
import type { TaskRow } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import { Clashes } from './clashes.ts';
import { lookAtDueLeases } from './expiry.ts';
import { grant, mayReceive, suits, viewLease } from './grant.ts';
import { announceImports } from './imports.ts';
import type { Lease } from './lease.ts';
import { adoptTask, recoverTerm } from './recover.ts';
import { isReady, type TaskEntry } from './task-entry.ts';
import type { Term, TermHost } from './term.ts';

interface Waiter {
  readonly member: Member;
  readonly requestId: string;
  /** They wait at this node alone: what comes free is theirs without asking. */
  readonly sole: boolean;
  /** Told that there is something, and expected to ask until then. */
  hintedUntilMs: number;
}

/** How long until a lost shard is tried again, in ms. */
const RELOAD_MS = 500;
/** Who was told that there is something, and has not asked for it by then, is passed over, in ms. */
const HINT_MS = 1_000;

/** What a shard must know of who owns what. */
export interface Ownership {
  incarnation(): Incarnation;
  readonly termMs: number;
  /** Another live node owns it, as far as is known. */
  isElsewhere(shardId: ShardId): boolean;
  /** This node is to serve it, as far as is known: it owns it, or is the only engine. */
  isOurs(shardId: ShardId): boolean;
  projectOf(shardId: ShardId): ProjectId | undefined;
  took(shardId: ShardId, projectId: ProjectId): void;
  gave(shardId: ShardId, projectId: ProjectId): void;
}

/**
 * The actor of one shard: the term it owns, if it owns one, and who waits for work.
 *
 * S1 A command runs against a live term or is refused as retryable; it never sees half-loaded memory.
 * S2 Who waits is remembered across terms: a shard that reloads serves them without being asked again.
 * S3 A freed slot goes to the annotator who waits longest among those it suits, at once.
 */
export class Shard implements TermHost, WaitingRoom {
  readonly shardId: ShardId;
  readonly projectId: ProjectId;
  private readonly context: EngineContext;
  private readonly ownership: Ownership;
  private readonly waiters = new Map<AnnotatorId, Waiter>();
  private readonly clashes = new Clashes();
  private current: Term | undefined;
  private loading: Promise<Term | undefined> | undefined;
  private reload: Timer | undefined;
  private again: Timer | undefined;
  private commands = 0;
  private stopped = false;
  /** Being handed over: nothing new is begun. */
  private leaving = false;

  constructor(args: {
    context: EngineContext;
    ownership: Ownership;
    shardId: ShardId;
    projectId: ProjectId;
  }) {
    this.context = args.context;
    this.ownership = args.ownership;
    this.shardId = args.shardId;
    this.projectId = args.projectId;
  }

  get term(): Term | undefined {
    return this.current;
  }

  get waiting(): number {
    return this.waiters.size;
  }

  /** True while this node means to serve the shard and has not got it yet: who holds what there is not known. */
  get recovering(): boolean {
    return this.current === undefined && (this.loading !== undefined || this.reload !== undefined);
  }

  /**
   * Runs a command against the live term, loading it if need be. A lost database is a retryable refusal; any other
   * exception is a bug and goes up.
   */
  async use<T>(command: (term: Term) => Promise<Result<T>>): Promise<Result<T>> {
    const { limits } = this.context;
    if (this.commands >= limits.mailboxMax)
      return refuse('busy', undefined, { retryAfterMs: limits.retryAfterMs });
    if (this.leaving) return this.unavailable();
    this.commands += 1;
    try {
      const term = this.current ?? (await this.load());
      // While it was loaded it may have been lost, or given to another node.
      return term?.alive ? await command(term) : this.unavailable();
    } catch (error) {
      if (error instanceof StoreError) return this.unavailable();
      throw error;
    } finally {
      this.commands -= 1;
    }
  }

  /** Waits for the commit of what the command wrote, then answers. */
  async saved<T>(term: Term, answer: Result<T>): Promise<Result<T>> {
    return (await term.saved()) === 'committed' ? answer : this.unavailable();
  }

  unavailable(): Refusal {
    return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
  }

  /**
   * Finds this annotator a task and leases it.
   *
   * @param isWanted asked again after every read: what is no longer wanted is not given.
   * @returns 'none' when everything has been looked at, 'barred' when the project is closed to them.
   */
  async pick(
    term: Term,
    member: Member,
    requestId: string,
    isWanted: () => boolean = () => true,
  ): Promise<Lease | 'none' | 'barred' | 'busy'> {
    return this.find(term, member, isWanted, (task) => grant(term, member, task, requestId));
  }

  /** @param take what to do with a task that was found; when it yields nothing, ids are missing: they are fetched. */
  private async find<T extends object>(
    term: Term,
    member: Member,
    isWanted: () => boolean,
    take: (task: TaskEntry) => T | undefined,
  ): Promise<T | 'none' | 'barred' | 'busy'> {
    if (projectBar(member.row, term.project) !== undefined) return 'barred';
    const { context } = this;
    for (let reads = 0; reads <= context.limits.deepReadsMax; ) {
      if (!term.alive || !isWanted() || !mayReceive(term, member)) return 'none';
      const wanted = (task: TaskEntry) => suits(member, task);
      const picked = term.queue.pick(member.row.id, wanted);
      if (picked.kind === 'none') return 'none';
      if (picked.kind === 'task') {
        const taken = take(picked.task);
        if (taken) return taken;
        await context.ids.fetch();
      } else {
        await term.queue.read(picked.started, member.row.id, wanted);
      }
      reads += 1;
    }
    return 'busy';
  }

  /** @returns false when too many wait already. */
  addWaiter(member: Member, requestId: string, sole: boolean): boolean {
    if (this.waiters.size >= this.context.limits.waitersMax && !this.waiters.has(member.row.id)) return false;
    this.waiters.set(member.row.id, { member, requestId, sole, hintedUntilMs: 0 });
    member.waitingIn.add(this);
    return true;
  }

  dropWaiter(annotatorId: AnnotatorId): void {
    this.waiters.get(annotatorId)?.member.waitingIn.delete(this);
    this.waiters.delete(annotatorId);
  }

  /** A slot came free: to the one who waits longest and may have it. */
  offer(term: Term, task: TaskEntry): void {
    for (const waiter of this.waiters.values()) {
      if (!isReady(task)) return;
      if (this.isThere(waiter.member) && mayReceive(term, waiter.member) && suits(waiter.member, task)) {
        if (!waiter.sole) {
          if (this.hint(waiter)) return;
          continue;
        }
        const lease = grant(term, waiter.member, task, waiter.requestId);
        if (lease) {
          this.pushLease(term, waiter, lease);
        } else if (isReady(task)) {
          this.serveWhenIdsCome(term);
          return;
        }
      }
    }
  }

  /** New tasks, a resumed project, a changed skill: everybody who waits is looked at once, the longest first. */
  async serveWaiters(term: Term): Promise<void> {
    for (const annotatorId of [...this.waiters.keys()]) {
      await this.serveWaiter(annotatorId);
      if (!term.alive) return;
    }
  }

  async serveWaiter(annotatorId: AnnotatorId): Promise<void> {
    const waiter = this.waiters.get(annotatorId);
    const term = this.current;
    if (!waiter || !term) return;
    const stillWaits = () => this.waiters.has(annotatorId) && this.isThere(waiter.member);
    if (!stillWaits()) return;
    try {
      const picked = waiter.sole
        ? await this.pick(term, waiter.member, waiter.requestId, stillWaits)
        : await this.find(term, waiter.member, stillWaits, (task) => task);
      if (typeof picked === 'object') {
        if ('attempt' in picked) this.pushLease(term, waiter, picked);
        else this.hint(waiter);
      }
      if (picked === 'busy') this.serveAgain();
    } catch (error) {
      // Who waits does not ask again: a read that failed must not be the end of it.
      this.serveAgain();
      throw error;
    }
  }

  serveLater(annotatorId: AnnotatorId): void {
    this.inBackground(this.serveWaiter(annotatorId));
  }

  termLost(term: Term, clashingTask?: TaskId): void {
    if (this.current !== term) return;
    if (clashingTask !== undefined && term.tasks.has(clashingTask)) this.clashes.note(clashingTask);
    const wasLive = term.leases.size > 0 || this.waiters.size > 0;
    term.end();
    this.current = undefined;
    if (wasLive) this.loadSoon();
  }

  leasesDue(term: Term): void {
    for (const task of lookAtDueLeases(term)) this.offer(term, task);
  }

  adopt(term: Term, row: TaskRow): TaskEntry {
    return adoptTask(term, row, []);
  }

  /** Loads the shard if it is not, whoever asks. @returns undefined while another node owns it. */
  load(): Promise<Term | undefined> {
    if (this.stopped) return Promise.resolve(undefined);
    if (this.current) return Promise.resolve(this.current);
    this.loading ??= this.takeOver().finally(() => {
      this.loading = undefined;
    });
    return this.loading;
  }

  /** Drops the term without a word to the database: this incarnation is over. */
  forget(): void {
    if (this.current) this.termLost(this.current);
  }

  /**
   * Gives the shard back so that another node can take it at once. What was begun is saved first; what comes now is
   * refused, and asked again there.
   */
  async handOver(): Promise<void> {
    const term = this.current;
    if (!term || this.leaving) return;
    this.leaving = true;
    try {
      await term.saved();
      term.end();
      this.current = undefined;
      this.dropWaiters();
      await this.context.store.releaseShard(this.shardId, this.ownership.incarnation());
      this.ownership.gave(this.shardId, this.projectId);
    } finally {
      this.leaving = false;
    }
  }

  private dropWaiters(): void {
    for (const annotatorId of [...this.waiters.keys()]) {
      const member = this.waiters.get(annotatorId)?.member;
      this.dropWaiter(annotatorId);
      if (member) this.context.roster.letGo(member);
    }
  }

  stop(): void {
    this.stopped = true;
    this.reload?.cancel();
    this.again?.cancel();
    this.current?.end();
    this.current = undefined;
  }

  private async takeOver(): Promise<Term | undefined> {
    try {
      const incarnation = this.ownership.incarnation();
      const { shardId, ownership } = this;
      const { termMs } = ownership;
      const term = await recoverTerm(this.context, this, { shardId, incarnation, termMs });
      // Declared dead while it was read, this node has joined anew: a heartbeat, which commits nothing, would not notice (I8).
      if (!term || this.ownership.incarnation() !== incarnation) {
        term?.end();
        this.loadSoon();
        return undefined;
      }
      this.ownership.took(this.shardId, this.projectId);
      this.current = term;
      await this.clashes.quarantine(term);
      await announceImports(term);
      if (this.waiters.size > 0) this.inBackground(this.serveWaiters(term));
      return term;
    } catch (error) {
      // A term whose imports could not be announced is begun anew, or they and who waits for them would be forgotten.
      this.forget();
      this.loadSoon();
      if (!(error instanceof StoreError))
        this.context.incident({ kind: 'load_failed', error, shardId: this.shardId });
      throw error;
    }
  }

  /**
   * Says that there is something. Who does not come for it (the message may be lost) is passed over after a while, and
   * everybody is looked at again.
   *
   * @returns false when they were told a moment ago.
   */
  private hint(waiter: Waiter): boolean {
    const nowMs = this.context.clock.nowMs();
    if (waiter.hintedUntilMs > nowMs) return false;
    waiter.hintedUntilMs = nowMs + HINT_MS;
    this.context.push(waiter.member.row.id, { kind: 'ready' });
    this.serveAgain(HINT_MS);
    return true;
  }

  private serveAgain(delayMs = RELOAD_MS): void {
    if (this.again || this.stopped) return;
    this.again = this.context.clock.setTimer(delayMs, () => {
      this.again = undefined;
      if (this.current) this.inBackground(this.serveWaiters(this.current));
    });
  }

  private loadSoon(): void {
    this.reload?.cancel();
    this.reload = undefined;
    if (this.stopped) return;
    // Another node serves it now: who waits here is asked for there, by their gateway.
    if (this.ownership.isElsewhere(this.shardId)) {
      this.dropWaiters();
      return;
    }
    this.reload = this.context.clock.setTimer(RELOAD_MS, () => {
      this.reload = undefined;
      this.inBackground(this.load());
    });
  }

  private pushLease(term: Term, { member, requestId, sole }: Waiter, lease: Lease): void {
    // One request, one assignment: this annotator waits nowhere any more, unless the commit is lost.
    const rooms = [...member.waitingIn];
    this.context.roster.stopWaiting(member);
    this.inBackground(
      lease.saved.then((result) => {
        if (result !== 'lost' || member.gateways.size === 0) return;
        for (const room of rooms) room.addWaiter(member, requestId, sole);
      }),
    );
    term.write().onCommitted(() => {
      this.inBackground(
        viewLease(term, lease).then((assignment) => {
          if (lease.open) this.context.push(lease.annotatorId, { kind: 'assigned', assignment });
        }),
      );
    });
  }

  /** No assignment id was at hand for a slot that came free: rare, and nobody may be forgotten over it. */
  private serveWhenIdsCome(term: Term): void {
    this.inBackground(this.context.ids.fetch().then(() => this.serveWaiters(term)));
  }

  private isThere(member: Member): boolean {
    return member.gateways.size > 0 && !member.paused;
  }

  /** For work nobody waits for: what goes wrong is told to the operator; the state is on disk in any case. */
  inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.context.incident({ kind: 'push_failed', error, shardId: this.shardId });
    });
  }
}
