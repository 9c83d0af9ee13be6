import type { Address } from './bus/bus.ts';
import type { EngineContext } from './context.ts';
import type { AssignmentView, SessionState, WaitingReasons } from './door.ts';
import type { AnnotatorId, ShardId } from './ids.ts';
import type { Projects } from './projects.ts';
import { ok, type Refusal, type Result, refuse } from './refusals.ts';
import type { Member } from './roster.ts';
import { viewLease } from './shard/grant.ts';
import type { Lease } from './shard/lease.ts';
import { addReasons, NO_REASONS, waitingReasons } from './shard/waiting.ts';

/** How long a place in a queue outlives the annotator's last socket, in ms. */
const WAITING_GRACE_MS = 15_000;

/** Who is there: sockets that come and go, pauses, and the whole state for a client that lost track. */
export class Sessions {
  private readonly context: EngineContext;
  private readonly projects: Projects;

  constructor(context: EngineContext, projects: Projects) {
    this.context = context;
    this.projects = projects;
  }

  attach(args: {
    annotatorId: AnnotatorId;
    gateway: Address;
    rev: number;
    shardIds: readonly ShardId[];
  }): Promise<Result<SessionState>> {
    const { gateway, rev } = args;
    return this.context.roster.use(args.annotatorId, async (member) => {
      if (member.row.status === 'banned') return refuse('annotator_banned');
      if (!(await this.projects.loaded(args.shardIds)) || !(await this.projects.recovered()))
        return this.unavailable();
      this.context.roster.connected(member, gateway, rev);
      this.isBack(member);
      let state: Result<SessionState> | undefined;
      try {
        // While nobody was there, what came free passed them by.
        await this.projects.serve(member);
        state = await this.sessionOf(member);
        return state;
      } finally {
        // The caller takes a refusal as "not connected" and will not say goodbye.
        if (state?.ok !== true) this.context.roster.disconnected(member, gateway, rev, WAITING_GRACE_MS);
      }
    });
  }

  /** Their last socket at this gateway is closed. */
  detach(annotatorId: AnnotatorId, gateway: Address, rev: number): void {
    this.gone(annotatorId, gateway, rev, (lease, graceMs) => {
      // A dropped socket is a hint: it brings the end of silence nearer, never later.
      lease.silentAtMs = Math.min(lease.silentAtMs, this.context.clock.nowMs() + graceMs);
    });
  }

  private gone(
    annotatorId: AnnotatorId,
    gateway: Address,
    rev: number,
    hurry: (lease: Lease, graceMs: number) => void,
  ): void {
    const member = this.context.roster.peek(annotatorId);
    if (!member || !this.context.roster.disconnected(member, gateway, rev, WAITING_GRACE_MS)) return;
    for (const lease of member.leases.values()) {
      const term = this.projects.shard(lease.shardId, lease.projectId).term;
      if (!term) continue;
      lease.dropped = true;
      hurry(lease, term.project.settings.reconnectGraceMs);
      term.schedule(lease, Math.min(lease.dueMs, lease.silentAtMs));
    }
  }

  /** Exactly these are at this gateway now: what was missed of coming and going is made good. */
  present(gateway: Address, rev: number, annotatorIds: readonly AnnotatorId[]): void {
    const there = new Set(annotatorIds);
    for (const member of [...this.context.roster.all()]) {
      const { id } = member.row;
      if (there.has(id)) {
        this.context.roster.connected(member, gateway, rev);
        // They were taken for gone and never were: their next beat may come later than the grace that was begun.
        if ([...member.leases.values()].some((lease) => lease.dropped)) this.isBack(member);
      } else if (member.gateways.has(gateway)) {
        this.detach(id, gateway, rev);
      }
    }
  }

  /**
   * A gateway is no more. That says nothing of the people who were there: they are on their way to another, thousands of them
   * perhaps, and their leases last as long as without a word, until a beat is missed.
   */
  gatewayLost(gateway: Address): void {
    for (const member of [...this.context.roster.all()]) {
      if (member.gateways.has(gateway))
        this.gone(member.row.id, gateway, Number.MAX_SAFE_INTEGER, () => undefined);
    }
  }

  stopWaiting(annotatorId: AnnotatorId): void {
    const member = this.context.roster.peek(annotatorId);
    if (member) this.context.roster.stopWaiting(member);
  }

  state(annotatorId: AnnotatorId): Promise<Result<SessionState>> {
    return this.context.roster.use(annotatorId, (member) => this.sessionOf(member));
  }

  pause(annotatorId: AnnotatorId): Promise<Result<{ paused: true }>> {
    return this.context.roster.use(annotatorId, async (member) => {
      member.paused = true;
      return ok({ paused: true });
    });
  }

  resume(annotatorId: AnnotatorId): Promise<Result<SessionState>> {
    return this.context.roster.use(annotatorId, async (member) => {
      member.paused = false;
      await this.projects.serve(member);
      return this.sessionOf(member);
    });
  }

  private isBack(member: Member): void {
    const nowMs = this.context.clock.nowMs();
    for (const lease of member.leases.values()) {
      lease.dropped = false;
      const term = this.projects.shard(lease.shardId, lease.projectId).term;
      if (term) lease.silentAtMs = nowMs + term.project.settings.heartbeatMs;
    }
  }

  /** The whole state or none: a lease that is left out because its shard is being taken over would count as ended. */
  private async sessionOf(member: Member): Promise<Result<SessionState>> {
    if (!(await this.projects.recovered())) return this.unavailable();
    // A node whose term may be over knows neither what has ended since nor how long a lease will last (I8).
    if (!this.context.mayGrant()) return this.unavailable();
    const assignments: AssignmentView[] = [];
    for (const lease of [...member.leases.values()]) {
      const term = this.projects.shard(lease.shardId, lease.projectId).term;
      // Nobody is told of a lease that is not committed yet.
      if (!term || (await lease.saved) !== 'committed' || !lease.open) continue;
      assignments.push(await viewLease(term, lease));
    }
    let waiting: WaitingReasons | undefined;
    for (const room of member.waitingIn) {
      const reasons = room.term
        ? waitingReasons(room.term, member)
        : { ...NO_REASONS, unavailableProjects: 1 };
      waiting = addReasons(waiting ?? NO_REASONS, reasons);
    }
    return ok({ assignments, paused: member.paused, ...(waiting === undefined ? {} : { waiting }) });
  }

  private unavailable(): Refusal {
    return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
  }
}
