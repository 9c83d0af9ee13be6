import { AssignmentIds } from './assignment-ids.ts';
import { type Clock, systemClock } from './clock.ts';
import { Committer } from './commit/committer.ts';
import type { EngineContext, Incident } from './context.ts';
import { Control } from './control.ts';
import type { Engine, EngineStatus, FeedListener, PushSink, WorkDoor } from './door.ts';
import { LeaseCommands } from './lease-commands.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { NodeLease, TERM_MS } from './ownership/node-lease.ts';
import { Payloads } from './payloads.ts';
import { Projects } from './projects.ts';
import { RecentRequests } from './recent-requests.ts';
import { Requests } from './requests.ts';
import { Roster } from './roster.ts';
import { Sessions } from './sessions.ts';
import type { ShardBatch, Store } from './store/store.ts';

export interface EngineOptions {
  readonly store: Store;
  /** Who this node is, for people; two nodes may share a name, never an incarnation. */
  readonly nodeName: string;
  readonly version: string;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly limits?: Partial<Limits>;
  readonly onIncident: (incident: Incident) => void;
  /** Called after each commit, for metrics. */
  readonly onCommit?: (durationMs: number, batches: readonly ShardBatch[]) => void;
}

/** Wires one engine node. Nothing runs before `start`. */
export function createEngine(options: EngineOptions): Engine {
  return new EngineNode(options);
}

class EngineNode implements Engine {
  readonly work: WorkDoor;
  readonly control: Control;
  private readonly sinks = new Set<PushSink>();
  private readonly listeners = new Set<FeedListener>();
  private readonly node: NodeLease;
  private readonly context: EngineContext;
  private readonly projects: Projects;
  private running = false;

  constructor(options: EngineOptions) {
    const clock = options.clock ?? systemClock();
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { store, onIncident: incident } = options;
    this.node = new NodeLease({
      store,
      clock,
      name: options.nodeName,
      version: options.version,
      onLost: () => this.forgetAll(incident),
      onTrusted: () => this.serveAll(),
      onError: (error) => incident({ kind: 'renew_failed', error }),
    });
    this.context = {
      store,
      clock,
      limits,
      roster: new Roster({ store, clock, retryAfterMs: limits.retryAfterMs }),
      requests: new RecentRequests(limits.recentMax * 8),
      ids: new AssignmentIds(store, (error) => incident({ kind: 'read_failed', error })),
      payloads: new Payloads(store, clock, limits.payloadCacheBytes),
      committer: new Committer({
        store,
        clock,
        incarnation: () => this.node.incarnation(),
        onLoss: (loss) =>
          incident({
            kind: 'commit_lost',
            error: loss.error,
            detail: `${loss.reason}: ${loss.shardIds.join(', ')}`,
          }),
        onCommit: options.onCommit ?? (() => undefined),
      }),
      mayGrant: () => this.running && this.node.mayGrant(),
      push: (annotatorId, push) => this.tell(this.sinks, (sink) => sink(annotatorId, push)),
      feed: (projectId, seq) => this.tell(this.listeners, (listener) => listener(projectId, seq)),
      incident,
    };
    const ownership = { incarnation: () => this.node.incarnation(), termMs: TERM_MS };
    this.projects = new Projects(this.context, ownership, options.random ?? Math.random);
    this.control = new Control(this.context, this.projects);
    this.work = workDoor(this.context, this.projects);
  }

  async start(): Promise<void> {
    await this.node.start();
    this.running = true;
    await this.projects.readAll();
    await this.context.ids.fetch();
    // Leases that are open on disk need somebody to watch their deadlines; other shards wait to be asked for.
    for (const { shardId, projectId } of await this.context.store.shardsWithOpenLeases()) {
      await this.projects.shard(shardId, projectId).load();
    }
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    await this.context.committer.drain();
    for (const shard of this.projects.allShards()) shard.stop();
    this.context.roster.stop();
    await this.node.stop();
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
    for (const shard of this.projects.allShards()) {
      if (shard.term) shards += 1;
      leases += shard.term?.leases.size ?? 0;
      waiting += shard.waiting;
    }
    const ready = this.context.mayGrant();
    return {
      ready,
      ...(ready ? {} : { why: this.running ? 'the database does not renew this node' : 'not running' }),
      shards,
      leases,
      waiting,
      commits: this.context.committer.statistics.commits,
      eventLoopLagMs: this.node.eventLoopLagMs,
    };
  }

  private forgetAll(incident: (incident: Incident) => void): void {
    incident({ kind: 'node_lost', detail: 'this incarnation was declared dead; joining again' });
    for (const shard of this.projects.allShards()) shard.forget();
  }

  private serveAll(): void {
    for (const shard of this.projects.allShards()) {
      if (shard.term) shard.inBackground(shard.serveWaiters(shard.term));
    }
  }

  /** What happens after a commit cannot undo it: a listener that throws is reported, and the others still hear. */
  private tell<T>(listeners: ReadonlySet<T>, call: (listener: T) => void): void {
    for (const listener of listeners) {
      try {
        call(listener);
      } catch (error) {
        this.context.incident({ kind: 'listener_failed', error });
      }
    }
  }
}

function workDoor(context: EngineContext, projects: Projects): WorkDoor {
  const sessions = new Sessions(context, projects);
  const requests = new Requests(context, projects);
  const leases = new LeaseCommands(context, projects, requests);
  return {
    connect: (annotatorId) => sessions.connect(annotatorId),
    disconnect: (annotatorId) => sessions.disconnect(annotatorId),
    state: (annotatorId) => sessions.state(annotatorId),
    pause: (annotatorId) => sessions.pause(annotatorId),
    resume: (annotatorId) => sessions.resume(annotatorId),
    request: (args) => requests.request(args),
    accept: (annotatorId, ref) => leases.accept(annotatorId, ref),
    heartbeat: (annotatorId, refs) => leases.heartbeat(annotatorId, refs),
    draft: (annotatorId, ref, draft) => leases.draft(annotatorId, ref, draft),
    submit: (args) => leases.submit(args),
    skip: (annotatorId, ref, reason) => leases.skip(annotatorId, ref, reason),
    release: (annotatorId, ref) => leases.release(annotatorId, ref),
  };
}
