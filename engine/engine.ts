import type { Bus } from './bus/bus.ts';
import { Catalog } from './catalog.ts';
import { type Clock, systemClock } from './clock.ts';
import { Cluster } from './cluster/cluster.ts';
import type { Incident, Weakness } from './context.ts';
import type { Engine, EngineStatus, FeedListener, PushSink } from './door.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { EngineNode } from './node.ts';
import { NodeLease } from './ownership/node-lease.ts';
import type { NodeRole, ShardBatch, Store } from './store/store.ts';

export interface EngineOptions {
  readonly store: Store;
  /** Who this node is, for people; two nodes may share a name, never an incarnation. */
  readonly nodeName: string;
  readonly version: string;
  /** What this process does; absent: both. */
  readonly roles?: readonly NodeRole[];
  /** How it reaches the other processes; absent: not at all, and shards that others own are unavailable here. */
  readonly bus?: Bus;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly limits?: Partial<Limits>;
  /** For tests of tests alone. @see Weakness */
  readonly without?: readonly Weakness[];
  readonly onIncident: (incident: Incident) => void;
  /** Called after each commit, for metrics. */
  readonly onCommit?: (durationMs: number, batches: readonly ShardBatch[]) => void;
}

/** Wires one process: its engine, if it is one, and the way to all engines. Nothing runs before `start`. */
export function createEngine(options: EngineOptions): Engine {
  return new EngineProcess(options);
}

class EngineProcess implements Engine {
  readonly work: Engine['work'];
  readonly control: Engine['control'];
  private readonly sinks = new Set<PushSink>();
  private readonly listeners = new Set<FeedListener>();
  private readonly lease: NodeLease;
  private readonly node: EngineNode | undefined;
  private readonly cluster: Cluster;
  private readonly catalog: Catalog;
  private readonly incident: (incident: Incident) => void;
  private running = false;

  constructor(options: EngineOptions) {
    const clock = options.clock ?? systemClock();
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { store, onIncident: incident, bus, roles = ['gateway', 'engine'] } = options;
    this.incident = incident;
    this.catalog = new Catalog(store, options.random ?? Math.random);
    this.lease = new NodeLease({
      store,
      clock,
      name: options.nodeName,
      version: options.version,
      address: bus?.address ?? '',
      roles,
      onLost: () => {
        incident({ kind: 'node_lost', detail: 'this incarnation was declared dead; joining again' });
        this.node?.forgetAll();
      },
      onTrusted: () => this.node?.serveAll(),
      onError: (error) => incident({ kind: 'renew_failed', error }),
    });
    const deliver: PushSink = (annotatorId, push) => this.tell(this.sinks, (sink) => sink(annotatorId, push));
    const feed: FeedListener = (projectId, seq) =>
      this.tell(this.listeners, (listener) => listener(projectId, seq));
    this.cluster = new Cluster({
      store,
      clock,
      bus,
      catalog: this.catalog,
      retryAfterMs: limits.retryAfterMs,
      self: () => this.lease.joined,
      name: options.nodeName,
      deliver,
      feed,
      incident,
    });
    if (roles.includes('engine')) {
      this.node = new EngineNode({
        store,
        clock,
        limits,
        catalog: this.catalog,
        without: new Set(options.without),
        incarnation: () => this.lease.incarnation(),
        mayGrant: () => this.running && this.lease.mayGrant(),
        ...this.cluster.forNode(feed),
        incident,
        onCommit: options.onCommit ?? (() => undefined),
      });
    }
    const doors = this.cluster.serve(this.node);
    this.work = doors.work;
    this.control = doors.control;
  }

  async start(): Promise<void> {
    await this.cluster.open();
    await this.lease.start();
    this.running = true;
    await this.catalog.readAll();
    await this.cluster.start();
    await this.node?.start();
    this.cluster.announce();
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    await this.node?.stop();
    this.running = false;
    this.cluster.stop();
    await this.lease.stop();
    this.cluster.announce();
    await this.cluster.close();
  }

  onPush(sink: PushSink): () => void {
    this.sinks.add(sink);
    return () => this.sinks.delete(sink);
  }

  onFeed(listener: FeedListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  status(): EngineStatus {
    let shards = 0;
    let leases = 0;
    let waiting = 0;
    for (const shard of this.node?.projects.allShards() ?? []) {
      if (shard.term) shards += 1;
      leases += shard.term?.leases.size ?? 0;
      waiting += shard.waiting;
    }
    const ready = this.running && this.lease.mayGrant();
    return {
      ready,
      ...(ready ? {} : { why: this.running ? 'the database does not renew this node' : 'not running' }),
      shards,
      leases,
      waiting,
      commits: this.node?.context.committer.statistics.commits ?? 0,
      eventLoopLagMs: this.lease.eventLoopLagMs,
      ...this.cluster.status(),
    };
  }

  /** What happens after a commit cannot undo it: a listener that throws is reported, and the others still hear. */
  private tell<T>(listeners: ReadonlySet<T>, call: (listener: T) => void): void {
    for (const listener of listeners) {
      try {
        call(listener);
      } catch (error) {
        this.incident({ kind: 'listener_failed', error });
      }
    }
  }
}
