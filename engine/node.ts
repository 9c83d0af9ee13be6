import { AssignmentIds } from './assignment-ids.ts';
import type { Address } from './bus/bus.ts';
import type { Catalog } from './catalog.ts';
import type { Clock } from './clock.ts';
import { Balancer } from './cluster/balancer.ts';
import type { Directory } from './cluster/directory.ts';
import type { NodeDoor, NodePush } from './cluster/node-door.ts';
import { Committer } from './commit/committer.ts';
import type { EngineContext, Incident } from './context.ts';
import { Control } from './control.ts';
import { Drafts } from './drafts.ts';
import type { AnnotatorId, Incarnation, ProjectId } from './ids.ts';
import { LeaseCommands } from './lease-commands.ts';
import type { Limits } from './limits.ts';
import { TERM_MS } from './ownership/node-lease.ts';
import { Payloads } from './payloads.ts';
import { Projects } from './projects.ts';
import { RecentRequests } from './recent-requests.ts';
import { ok, type Result } from './refusals.ts';
import { Requests } from './requests.ts';
import { Roster } from './roster.ts';
import { Sessions } from './sessions.ts';
import type { Ownership } from './shard/shard.ts';
import type { ShardBatch, ShardOwner, Store } from './store/store.ts';

export interface NodeOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly without: EngineContext['without'];
  readonly catalog: Catalog;
  readonly directory: Directory;
  /** This very process. */
  readonly incarnation: () => Incarnation;
  readonly mayGrant: () => boolean;
  readonly push: (gateways: Iterable<Address>, annotatorId: AnnotatorId, push: NodePush) => void;
  /** How many pushes this gateway was sent. */
  readonly pushesTo: (gateway: Address) => number;
  readonly feed: (projectId: ProjectId, seq: number) => void;
  readonly peer: (incarnation: Incarnation) => NodeDoor | undefined;
  readonly announce: () => void;
  readonly incident: (incident: Incident) => void;
  readonly onCommit: (durationMs: number, batches: readonly ShardBatch[]) => void;
}

/** One engine: the shards it owns, and its door for gateways. */
export class EngineNode {
  readonly door: NodeDoor;
  readonly context: EngineContext;
  readonly projects: Projects;
  readonly balancer: Balancer;
  readonly sessions: Sessions;

  constructor(options: NodeOptions) {
    const { store, clock, limits, incident } = options;
    this.context = {
      store,
      clock,
      limits,
      roster: new Roster({ store, clock, retryAfterMs: limits.retryAfterMs }),
      requests: new RecentRequests(limits.recentMax * 8),
      ids: new AssignmentIds(store, (error) => incident({ kind: 'read_failed', error })),
      without: options.without,
      payloads: new Payloads(store, clock, limits.payloadCacheBytes),
      drafts: new Drafts(store, clock),
      committer: new Committer({
        store,
        clock,
        incarnation: options.incarnation,
        onLoss: (loss) => {
          if (loss.annotatorId !== undefined) this.learnHoldings(loss.annotatorId);
          const detail = `${loss.reason}: ${loss.shardIds.join(', ')}`;
          incident({ kind: 'commit_lost', error: loss.error, detail });
        },
        onCommit: options.onCommit,
      }),
      mayGrant: options.mayGrant,
      push: (annotatorId, push) => {
        const gateways = this.context.roster.peek(annotatorId)?.gateways.keys();
        if (gateways) options.push(gateways, annotatorId, push);
      },
      pushElsewhere: (annotatorId, here, push) => {
        const gateways = this.context.roster.peek(annotatorId)?.gateways;
        if (gateways === undefined || gateways.size <= Number(gateways.has(here))) return;
        options.push(
          [...gateways.keys()].filter((gateway) => gateway !== here),
          annotatorId,
          push,
        );
      },
      feed: options.feed,
      incident,
    };
    this.projects = new Projects(this.context, ownershipOf(options), options.catalog);
    this.balancer = new Balancer({ ...options, projects: this.projects });
    this.sessions = new Sessions(this.context, this.projects);
    this.door = doorOf(this.context, this.projects, this.sessions, options.pushesTo);
  }

  async start(): Promise<void> {
    await this.context.ids.fetch();
    await this.balancer.adoptOrphans();
  }

  /** Hands every shard to another engine, if there is one, and stops. */
  async stop(): Promise<void> {
    await this.balancer.handOverAll();
    await this.context.committer.drain();
    for (const shard of this.projects.allShards()) shard.stop();
    this.context.roster.stop();
  }

  /** Everything the last incarnation held. */
  forgetAll(): void {
    for (const shard of this.projects.allShards()) shard.forget();
  }

  serveAll(): void {
    for (const shard of this.projects.allShards()) {
      if (shard.term) shard.inBackground(shard.serveWaiters(shard.term));
    }
  }

  /** Tasks came to these shards, and whoever brought them may have died before it told us. */
  announce(news: readonly ShardOwner[]): void {
    for (const { shardId, projectId } of news) {
      if (!this.projects.isServed(shardId)) continue;
      const told = this.door.control({ kind: 'tasksImported', projectId, shardId });
      this.projects.shard(shardId, projectId).inBackground(told);
    }
  }

  /** A commit met a lease of this annotator at another node: what they hold is read, so that it is not tried again. */
  private learnHoldings(annotatorId: AnnotatorId): void {
    const learn = async () => {
      const held = await this.context.store.openLeasesOf([annotatorId]);
      const member = this.context.roster.peek(annotatorId);
      if (!member) return;
      const others = held.filter((lease) => !this.projects.isServed(lease.shardId));
      member.elsewhere = new Set(others.map((lease) => lease.capacitySlot));
    };
    learn().catch((error: unknown) => this.context.incident({ kind: 'read_failed', error }));
  }
}

function ownershipOf({ directory, incarnation, announce }: NodeOptions): Ownership {
  const isSelf = (owner: Incarnation) => owner === incarnation();
  return {
    incarnation,
    termMs: TERM_MS,
    isElsewhere: (shardId) => {
      const owner = directory.ownerOf(shardId);
      return owner !== undefined && !isSelf(owner.incarnation) && directory.hasBus;
    },
    isOurs: (shardId) => {
      const owner = directory.ownerOf(shardId);
      if (owner === undefined || !directory.hasBus) return directory.isAlone;
      return isSelf(owner.incarnation);
    },
    projectOf: (shardId) => directory.projectOf(shardId),
    took: (shardId, projectId) => {
      directory.note(shardId, projectId, incarnation());
      announce();
    },
    gave: (shardId, projectId) => {
      directory.note(shardId, projectId, null);
    },
  };
}

function doorOf(
  context: EngineContext,
  projects: Projects,
  sessions: Sessions,
  pushesTo: (gateway: Address) => number,
): NodeDoor {
  const requests = new Requests(context, projects);
  const leases = new LeaseCommands(context, projects, requests);
  const control = new Control(context, projects);
  /** What an annotator does at one gateway changes what they see at their others: those read the state. */
  const changed = <T>(by: { annotatorId: AnnotatorId; gateway: Address }, answer: Result<T>): Result<T> => {
    if (answer.ok) context.pushElsewhere(by.annotatorId, by.gateway, { kind: 'stale' });
    return answer;
  };
  return {
    attach: (args) => sessions.attach(args),
    async detach({ annotatorId, gateway, rev }) {
      sessions.detach(annotatorId, gateway, rev);
      return ok(null);
    },
    async present({ gateway, rev, annotatorIds }) {
      sessions.present(gateway, rev, annotatorIds);
      return ok({ pushes: pushesTo(gateway) });
    },
    state: (annotatorId) => sessions.state(annotatorId),
    request: async (args) => changed(args, await requests.request(args)),
    async stopWaiting(annotatorId) {
      sessions.stopWaiting(annotatorId);
      return ok(null);
    },
    accept: (annotatorId, ref) => leases.accept(annotatorId, ref),
    heartbeat: (annotatorId, refs) => leases.heartbeat(annotatorId, refs),
    draft: (annotatorId, ref, draft) => leases.draft(annotatorId, ref, draft),
    submit: async (args) => changed(args, await leases.submit(args)),
    giveBack: async (args) => changed(args, await leases.giveBack(args)),
    pause: (annotatorId) => sessions.pause(annotatorId),
    resume: (annotatorId) => sessions.resume(annotatorId),
    control: (command) => control.run(command),
  };
}
