import type { Address } from '../bus/bus.ts';
import type { Clock, Timer } from '../clock.ts';
import type { EngineContext } from '../context.ts';
import type { AnnotatorPush, RequestAnswer, SessionState } from '../door.ts';
import type { AnnotatorId } from '../ids.ts';
import { ok, type Refusal, type Result } from '../refusals.ts';
import { addReasons } from '../shard/waiting.ts';
import { StoreError } from '../store/store-error.ts';
import { Desk } from './desk.ts';
import type { Directory, DirectoryChange } from './directory.ts';
import type { HeldLeases } from './held-leases.ts';
import type { NodePush } from './node-door.ts';
import { type Candidate, LOOKS_MAX, type Routes } from './routes.ts';

/** How long a desk outlives the annotator's last socket, in ms. */
const DESK_GRACE_MS = 15_000;
/** How soon those are asked again for whom an engine could not be reached, in ms. */
const AGAIN_MS = 1_000;

/** Who is at this gateway: their sockets, where they are known, and what is pushed to them. */
export class Desks {
  readonly address: Address;
  private readonly desks = new Map<AnnotatorId, Desk>();
  private readonly waiting = new Set<Desk>();
  private again: Timer | undefined;
  private revision = 0;
  private stopped = false;
  private readonly args: {
    readonly address: Address;
    readonly clock: Clock;
    readonly directory: Directory;
    readonly routes: Routes;
    readonly held: HeldLeases;
    /** @see Router.serve */
    readonly serve: (desk: Desk) => Promise<RequestAnswer | undefined>;
    readonly deliver: (annotatorId: AnnotatorId, push: AnnotatorPush) => void;
    readonly incident: EngineContext['incident'];
  };

  constructor(args: Desks['args']) {
    this.address = args.address;
    this.args = args;
  }

  of(annotatorId: AnnotatorId): Desk {
    let desk = this.desks.get(annotatorId);
    if (!desk) {
      desk = new Desk(annotatorId);
      this.desks.set(annotatorId, desk);
      this.letGoLater(desk);
    }
    return desk;
  }

  all(): IterableIterator<Desk> {
    return this.desks.values();
  }

  async connect(annotatorId: AnnotatorId): Promise<Result<SessionState>> {
    const desk = this.of(annotatorId);
    desk.sockets += 1;
    desk.grace?.cancel();
    desk.grace = undefined;
    let state: Result<SessionState> | undefined;
    try {
      state = await this.attach(desk);
      return state;
    } finally {
      // The caller takes a refusal as "not connected" and will not say goodbye.
      if (state?.ok !== true) this.disconnect(annotatorId);
    }
  }

  disconnect(annotatorId: AnnotatorId): void {
    const desk = this.desks.get(annotatorId);
    if (!desk || desk.sockets === 0) return;
    desk.sockets -= 1;
    if (desk.sockets > 0) return;
    for (const address of desk.engaged) this.detach(desk, address);
    this.letGoLater(desk);
  }

  state(annotatorId: AnnotatorId): Promise<Result<SessionState>> {
    const desk = this.of(annotatorId);
    return this.merged(desk, (candidate) => candidate.door.state(annotatorId));
  }

  async pause(annotatorId: AnnotatorId): Promise<Result<{ paused: true }>> {
    const desk = this.of(annotatorId);
    const nodes = await this.nodesOf(desk);
    if ('code' in nodes) return nodes;
    const answers = await Promise.all(nodes.map(({ door }) => door.pause(annotatorId)));
    return answers.find((answer) => !answer.ok) ?? ok({ paused: true });
  }

  async resume(annotatorId: AnnotatorId): Promise<Result<SessionState>> {
    const desk = this.of(annotatorId);
    const state = await this.merged(desk, (candidate) => candidate.door.resume(annotatorId));
    if (desk.wait) this.serveSoon(desk);
    return state;
  }

  /** The number of a message that says that they are here; 0 when they are not. */
  presence(desk: Desk): number {
    if (desk.sockets === 0) return 0;
    this.revision += 1;
    return this.revision;
  }

  /** The engine will be told that they are here with the message that follows. */
  engage(desk: Desk, address: Address): void {
    desk.engaged.add(address);
  }

  /** They have something: engines other than this shall not keep a place in the queue for them. */
  stopWaiting(desk: Desk, except: Address): void {
    for (const address of desk.engaged) {
      if (address !== except) this.inBackground(this.args.routes.door(address).stopWaiting(desk.annotatorId));
    }
  }

  /** A lease ended: who waits at other engines than the one it was at has room there now. */
  roomAt(desk: Desk): void {
    if (desk.wait && !this.args.routes.onlyEngine()) this.serveSoon(desk);
  }

  /** What the database says that they hold. Never rejects. */
  async readHoldings(desk: Desk): Promise<boolean> {
    try {
      const held = await this.args.held.read(desk.annotatorId);
      desk.leases.clear();
      for (const { ref, shardId, capacitySlot, requestId } of held)
        desk.leases.set(ref.id, { ref, shardId, capacitySlot, requestId });
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return false;
    }
  }

  /** An engine could not be asked: it is, again, in a while. */
  serveAgain(desk: Desk): void {
    this.waiting.add(desk);
    if (this.again || this.stopped) return;
    this.again = this.args.clock.setTimer(AGAIN_MS, () => {
      this.again = undefined;
      const due = [...this.waiting];
      this.waiting.clear();
      for (const one of due) this.serveSoon(one);
    });
  }

  /** From an engine, for an annotator at this gateway. */
  pushed(annotatorId: AnnotatorId, push: NodePush): void {
    const desk = this.desks.get(annotatorId);
    if (!desk || desk.sockets === 0) return;
    switch (push.kind) {
      case 'ready':
        this.serveSoon(desk);
        return;
      case 'assigned':
        desk.took(push.assignment);
        desk.wait = undefined;
        break;
      case 'revoked':
        desk.leases.delete(push.ref.id);
        this.roomAt(desk);
    }
    this.args.deliver(annotatorId, push);
  }

  /** Pushes of this engine may have been lost: everybody who has to do with it reads their state. */
  stale(address: Address): void {
    for (const desk of this.desks.values()) {
      if (desk.sockets === 0 || !desk.engaged.has(address)) continue;
      this.args.deliver(desk.annotatorId, { kind: 'stale' });
      if (desk.wait) this.serveSoon(desk);
    }
  }

  /** Engines came or went, or shards moved: who waits is asked for again where the work is now. */
  directoryChanged(change: DirectoryChange): void {
    // A gateway that is gone had no shards: its people are on their way here, and nobody else is to be asked for again.
    const left = change.left.filter((node) => node.roles.includes('engine'));
    for (const node of left) for (const desk of this.desks.values()) desk.engaged.delete(node.address);
    if (left.length === 0 && (change.moved.length === 0 || this.args.routes.onlyEngine())) return;
    const moved = new Set(change.moved.map((shard) => shard.shardId));
    for (const desk of this.desks.values()) {
      if (desk.sockets === 0) continue;
      if (desk.wait) this.serveSoon(desk);
      else if ([...desk.leases.values()].some((lease) => moved.has(lease.shardId)))
        this.inBackground(this.reattach(desk));
    }
  }

  /** Who of them has to do with this engine, and the number of that list. */
  presentAt(address: Address): { rev: number; annotatorIds: AnnotatorId[] } {
    this.revision += 1;
    const annotatorIds: AnnotatorId[] = [];
    for (const desk of this.desks.values()) {
      if (desk.sockets > 0 && desk.engaged.has(address)) annotatorIds.push(desk.annotatorId);
    }
    return { rev: this.revision, annotatorIds };
  }

  stop(): void {
    this.stopped = true;
    this.again?.cancel();
    for (const desk of this.desks.values()) desk.grace?.cancel();
  }

  /** Their lease's new owner must know that they are here, or it would count them as gone. */
  private async reattach(desk: Desk): Promise<void> {
    const before = [...desk.leases.keys()];
    const state = await this.attach(desk);
    if (!state.ok) this.serveAgain(desk);
    // What ended while the shard moved was said to nobody.
    else if (before.some((id) => !desk.leases.has(id)))
      this.args.deliver(desk.annotatorId, { kind: 'stale' });
  }

  private async attach(desk: Desk): Promise<Result<SessionState>> {
    const { annotatorId } = desk;
    this.revision += 1;
    const rev = this.revision;
    return this.merged(desk, ({ address, door, take }) => {
      this.engage(desk, address);
      return door.attach({ annotatorId, gateway: this.address, rev, shardIds: take });
    });
  }

  /** The whole state, of all engines; asked again for as long as a hand-over takes. */
  private async merged(
    desk: Desk,
    ask: (candidate: Candidate) => Promise<Result<SessionState>>,
  ): Promise<Result<SessionState>> {
    const { routes } = this.args;
    for (let look = 0; ; look++) {
      const state = await this.mergedOnce(desk, ask);
      if (state.ok || state.code !== 'unavailable' || look >= LOOKS_MAX || routes.onlyEngine()) return state;
      await routes.nextLook(look > 0);
    }
  }

  private async mergedOnce(
    desk: Desk,
    ask: (candidate: Candidate) => Promise<Result<SessionState>>,
  ): Promise<Result<SessionState>> {
    const nodes = await this.nodesOf(desk);
    if ('code' in nodes) return nodes;
    const states = await Promise.all(nodes.map(ask));
    let merged: SessionState | undefined;
    for (const state of states) {
      if (!state.ok) return state;
      merged = merged ? mergeStates(merged, state.value) : state.value;
    }
    if (!merged) return this.args.routes.unavailable();
    desk.leases.clear();
    for (const view of merged.assignments) desk.took(view);
    return ok(merged);
  }

  /** The engines that have to do with them: where they hold or wait, or any one. */
  private async nodesOf(desk: Desk): Promise<Candidate[] | Refusal> {
    const { routes, directory } = this.args;
    const only = routes.onlyEngine();
    if (!only && !(await this.readHoldings(desk))) return routes.unavailable();
    if (!only) {
      const nodes = new Map<Address, Candidate & { take: Candidate['take'] }>();
      for (const { shardId } of desk.leases.values()) {
        const engine = routes.engineOf(shardId);
        if (!engine) return routes.unavailable();
        const known = nodes.get(engine.address);
        nodes.set(engine.address, known ? { ...known, take: [...known.take, shardId] } : engine);
      }
      for (const address of desk.engaged) {
        if (nodes.has(address) || !desk.wait || !directory.isLive(address)) continue;
        nodes.set(address, {
          address,
          door: routes.door(address),
          take: [],
          isOnly: false,
          first: undefined,
        });
      }
      if (nodes.size > 0) return [...nodes.values()];
    }
    const candidates = routes.candidates(desk.annotatorId, []);
    return candidates.length === 0 ? routes.unavailable() : candidates.slice(0, 1);
  }

  private detach(desk: Desk, address: Address): void {
    this.revision += 1;
    const { annotatorId } = desk;
    const rev = this.revision;
    this.inBackground(this.args.routes.door(address).detach({ annotatorId, gateway: this.address, rev }));
  }

  private serveSoon(desk: Desk): void {
    const serve = async () => {
      const found = await this.args.serve(desk);
      if (found && 'assignment' in found)
        this.args.deliver(desk.annotatorId, { kind: 'assigned', assignment: found.assignment });
      else if (found === undefined && desk.wait && desk.sockets > 0) this.serveAgain(desk);
    };
    this.inBackground(serve());
  }

  private letGoLater(desk: Desk): void {
    desk.grace?.cancel();
    desk.grace = this.args.clock.setTimer(DESK_GRACE_MS, () => {
      if (desk.sockets === 0) this.desks.delete(desk.annotatorId);
    });
  }

  private inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.args.incident({ kind: 'push_failed', error }));
  }
}

function mergeStates(a: SessionState, b: SessionState): SessionState {
  const waiting = a.waiting && b.waiting ? addReasons(a.waiting, b.waiting) : (a.waiting ?? b.waiting);
  return {
    assignments: [...a.assignments, ...b.assignments],
    paused: a.paused || b.paused,
    ...(waiting === undefined ? {} : { waiting }),
  };
}
