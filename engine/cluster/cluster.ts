import type { Address, Bus } from '../bus/bus.ts';
import type { Catalog } from '../catalog.ts';
import type { Clock, Timer } from '../clock.ts';
import type { EngineContext } from '../context.ts';
import type { AnnotatorPush, ControlDoor, EngineStatus, FeedListener, WorkDoor } from '../door.ts';
import type { AnnotatorId, Incarnation, ShardId } from '../ids.ts';
import type { EngineNode, NodeOptions } from '../node.ts';
import { TERM_MS } from '../ownership/node-lease.ts';
import type { ShardOwner, Store } from '../store/store.ts';
import { ControlRouter } from './control-router.ts';
import { Desks } from './desks.ts';
import { Directory, type DirectoryChange } from './directory.ts';
import { HeldLeases } from './held-leases.ts';
import type { NodePush } from './node-door.ts';
import { type PeerEvents, Peers } from './peers.ts';
import { Router } from './router.ts';
import { Routes } from './routes.ts';

/** How often each engine is told who is at this gateway, in ms: what was lost on the way is made good by then. */
const PRESENT_MS = 5_000;

/** This process among the others: where they are, how they are asked, what they say. */
export class Cluster {
  private readonly directory: Directory;
  private readonly address: Address;
  private peers: Peers | undefined;
  private desks: Desks | undefined;
  private routes: Routes | undefined;
  private node: EngineNode | undefined;
  private timer: Timer | undefined;
  /** Projects and owners are known: before that an engine would refuse what it should do. */
  private isServing = false;
  private stopped = false;
  private readonly lastPush = new Map<Address, number>();
  /** Shards that the catalog does not know: of new projects, or of one that has grown. */
  private readonly unread = new Map<ShardId, ShardOwner>();
  private readonly args: {
    readonly store: Store;
    readonly clock: Clock;
    readonly bus: Bus | undefined;
    readonly catalog: Catalog;
    readonly retryAfterMs: number;
    readonly self: () => Incarnation | undefined;
    /** For people: two processes may share one, and work, but nobody can tell them apart. */
    readonly name: string;
    readonly deliver: (annotatorId: AnnotatorId, push: AnnotatorPush) => void;
    readonly feed: FeedListener;
    readonly incident: EngineContext['incident'];
  };

  constructor(args: Cluster['args']) {
    this.args = args;
    this.address = args.bus?.address ?? 'here';
    this.directory = new Directory({
      store: args.store,
      clock: args.clock,
      termMs: TERM_MS,
      self: args.self,
      hasBus: args.bus !== undefined,
      onChange: (change) => this.changed(change),
      onError: (error) => args.incident({ kind: 'directory_failed', error }),
    });
  }

  /** What this process's own engine needs of the others. */
  forNode(
    feed: FeedListener,
  ): Pick<NodeOptions, 'directory' | 'push' | 'pushesTo' | 'feed' | 'peer' | 'announce'> {
    return {
      directory: this.directory,
      push: (gateways, annotatorId, push) => {
        for (const gateway of gateways) this.tell(gateway, annotatorId, push);
      },
      pushesTo: (gateway) => this.peers?.pushesTo(gateway) ?? 0,
      feed: (projectId, seq) => {
        feed(projectId, seq);
        this.peers?.feed(projectId, seq);
      },
      peer: (incarnation) => {
        const node = this.directory.node(incarnation);
        return node && this.routes?.door(node.address);
      },
      announce: () => this.announce(),
    };
  }

  /** The doors for gateways and admins. @param node this process's own engine. */
  serve(node: EngineNode | undefined): { work: WorkDoor; control: ControlDoor } {
    const { store, clock, bus, catalog, retryAfterMs, incident } = this.args;
    this.node = node;
    const events: PeerEvents = {
      push: (from, seq, to, push) => this.received(from, seq, to, push),
      feed: (projectId, seq) => this.args.feed(projectId, seq),
      changed: () => void this.directory.refresh(),
    };
    const door = () => (this.isServing ? node?.door : undefined);
    const peers = bus && new Peers({ bus, clock, retryAfterMs, door, events, incident });
    this.peers = peers;
    const routes = new Routes({
      store,
      clock,
      retryAfterMs,
      directory: this.directory,
      catalog,
      local: node?.door,
      localAddress: this.address,
      remote: (address) => {
        if (!peers) throw new Error('there is no bus, and another node was to be asked');
        return peers.door(address);
      },
    });
    this.routes = routes;
    const desks: Desks = new Desks({
      address: this.address,
      clock,
      directory: this.directory,
      routes,
      held: new HeldLeases({ store, clock }),
      serve: (desk) => router.serve(desk),
      deliver: this.args.deliver,
      incident,
    });
    this.desks = desks;
    const router = new Router({ desks, routes, retryAfterMs });
    return {
      work: workDoor(router, desks),
      control: new ControlRouter({ store, directory: this.directory, routes, catalog }),
    };
  }

  /** @throws when the bus refuses. */
  async open(): Promise<void> {
    await this.peers?.open();
    // While the bus was away, anything may have been said.
    this.args.bus?.onUp(() => {
      for (const { address } of this.directory.engines()) this.desks?.stale(address);
      void this.directory.refresh();
    });
  }

  /** @throws when the database is away. */
  async start(): Promise<void> {
    await this.directory.start();
    this.isServing = true;
    if (this.peers) this.schedule();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.directory.stop();
    this.desks?.stop();
  }

  async close(): Promise<void> {
    await this.peers?.close();
  }

  announce(): void {
    this.peers?.announce();
  }

  status(): Pick<EngineStatus, 'nodes' | 'bus'> {
    const { bus } = this.args;
    return {
      nodes: this.directory.live().length,
      bus: bus === undefined ? 'none' : bus.isUp ? 'up' : 'away',
    };
  }

  /** From an engine of this process to a gateway that may be this very one. */
  private tell(gateway: Address, annotatorId: AnnotatorId, push: NodePush): void {
    if (gateway === this.address) this.desks?.pushed(annotatorId, push);
    else this.peers?.push(gateway, annotatorId, push);
  }

  private received(from: Address, seq: number, annotatorId: AnnotatorId, push: NodePush): void {
    const last = this.lastPush.get(from) ?? 0;
    // Repeated, or overtaken: then everybody was told to read their state.
    if (seq <= last) return;
    this.lastPush.set(from, seq);
    if (seq > last + 1) this.desks?.stale(from);
    this.desks?.pushed(annotatorId, push);
  }

  private changed(change: DirectoryChange): void {
    for (const node of change.left) {
      this.peers?.forget(node.address);
      this.lastPush.delete(node.address);
      this.node?.sessions.gatewayLost(node.address);
    }
    for (const node of change.joined) {
      if (node.name !== this.args.name || node.incarnation === this.args.self()) continue;
      const detail = `another process is called ${node.name}: unless it has just died, give each a name of its own`;
      this.args.incident({ kind: 'name_shared', detail });
    }
    for (const shard of change.moved) {
      if (!this.args.catalog.knows(shard.projectId, shard.shardId)) this.unread.set(shard.shardId, shard);
    }
    if (this.unread.size === 0) this.act(change);
    else void this.readUnread().then((read) => this.act({ ...change, moved: [...change.moved, ...read] }));
  }

  private act(change: DirectoryChange): void {
    if (this.stopped) return;
    this.desks?.directoryChanged(change);
    this.node?.announce(change.news);
    void this.node?.balancer.tick();
  }

  /** @returns the shards that are known now; the others are tried again at the next look. Never rejects. */
  private async readUnread(): Promise<ShardOwner[]> {
    const { catalog, incident } = this.args;
    const read: ShardOwner[] = [];
    for (const shard of [...this.unread.values()]) {
      try {
        if (!catalog.knows(shard.projectId, shard.shardId)) await catalog.refresh(shard.projectId);
        this.unread.delete(shard.shardId);
        read.push(shard);
      } catch (error) {
        incident({ kind: 'directory_failed', error });
      }
    }
    return read;
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = this.args.clock.setTimer(PRESENT_MS, () => {
      void this.sayWhoIsHere().finally(() => this.schedule());
    });
  }

  private async sayWhoIsHere(): Promise<void> {
    const { desks, peers } = this;
    if (!desks || !peers) return;
    const others = this.directory.engines().filter((node) => node.address !== this.address);
    await Promise.all(
      others.map(async ({ address }) => {
        const answer = await peers
          .door(address)
          .present({ gateway: this.address, ...desks.presentAt(address) });
        if (answer.ok && answer.value.pushes > (this.lastPush.get(address) ?? 0)) {
          this.lastPush.set(address, answer.value.pushes);
          desks.stale(address);
        }
      }),
    );
  }
}

function workDoor(router: Router, desks: Desks): WorkDoor {
  return {
    connect: (annotatorId) => desks.connect(annotatorId),
    disconnect: (annotatorId) => desks.disconnect(annotatorId),
    state: (annotatorId) => desks.state(annotatorId),
    pause: (annotatorId) => desks.pause(annotatorId),
    resume: (annotatorId) => desks.resume(annotatorId),
    request: (args) => router.request(args),
    heartbeat: (annotatorId, refs) => router.heartbeat(annotatorId, refs),
    submit: (args) => router.submit(args),
    accept: (annotatorId, ref) => router.onLease(annotatorId, ref, (node) => node.accept(annotatorId, ref)),
    draft: (annotatorId, ref, draft) =>
      router.onLease(annotatorId, ref, (node) => node.draft(annotatorId, ref, draft)),
    skip: (annotatorId, ref, reason) => router.giveBack(annotatorId, ref, 'skip', reason),
    release: (annotatorId, ref) => router.giveBack(annotatorId, ref, 'release'),
  };
}
