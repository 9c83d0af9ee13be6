import type { NodeRequest } from './cluster/node-door.ts';
import { inOrderFor } from './cluster/placement.ts';
import type { EngineContext } from './context.ts';
import type { RequestAnswer, WaitingReasons } from './door.ts';
import { projectBar } from './eligibility.ts';
import type { Projects } from './projects.ts';
import { ok, type Refusal, type Result, refuse } from './refusals.ts';
import type { Member } from './roster.ts';
import { viewLease } from './shard/grant.ts';
import type { Lease } from './shard/lease.ts';
import type { Shard } from './shard/shard.ts';
import type { Term } from './shard/term.ts';
import { addReasons, NO_REASONS, waitingReasons } from './shard/waiting.ts';
import { isStorableText } from './storable-json.ts';
import type { ProjectRow } from './store/store.ts';

/**
 * The way to work: one lease, or a place in the queue and the reason for it.
 *
 * A repeated request id gets the first answer again: while it is being worked out the repeat joins it, while its
 * lease is open the lease is found by it, and for a while after that it is known to have ended.
 */
export class Requests {
  private readonly underWay = new Map<string, Promise<Result<RequestAnswer>>>();
  private readonly context: EngineContext;
  private readonly projects: Projects;

  constructor(context: EngineContext, projects: Projects) {
    this.context = context;
    this.projects = projects;
  }

  request(request: NodeRequest): Promise<Result<RequestAnswer>> {
    if (!isStorableText(request.requestId)) {
      return Promise.resolve(refuse('invalid', 'The request id holds characters that cannot be kept.'));
    }
    const key = `${request.annotatorId}:${request.requestId}`;
    const underWay = this.underWay.get(key);
    if (underWay) return underWay;
    const answer = this.context.roster
      .use(request.annotatorId, (member) => {
        member.elsewhere = new Set(request.elsewhere);
        if (request.rev > 0) this.context.roster.connected(member, request.gateway, request.rev);
        return this.answer(member, request);
      })
      .finally(() => this.underWay.delete(key));
    this.underWay.set(key, answer);
    return answer;
  }

  private async answer(member: Member, request: NodeRequest): Promise<Result<RequestAnswer>> {
    const repeated = await this.repeated(member, request.requestId);
    if (repeated) return repeated;
    const refusal = this.refusalFor(member);
    if (refusal) return refusal;
    // Who asks is there: a pause, or an offer that was missed, is over.
    member.paused = false;
    const projects = this.candidates(member, request);
    if (projects.length === 0) return refuse('no_projects');
    const { requestId, sole } = request;
    member.asked = { requestId, projects: request.projects, sole };
    const take = new Set(request.take);
    const shards = projects.slice(0, this.context.limits.projectsPerRequestMax).flatMap((row) => {
      const shardIds = inOrderFor(request.annotatorId, row.shardIds);
      return this.projects.servedOf({ id: row.id, shardIds }, take);
    });
    if (shards.length === 0) {
      return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
    }
    return this.search(member, { requestId, sole }, shards);
  }

  private async repeated(member: Member, requestId: string): Promise<Result<RequestAnswer> | undefined> {
    if (this.context.without.has('idempotency')) return undefined;
    for (const lease of member.leases.values()) {
      if (lease.requestId !== requestId) continue;
      const shard = this.projects.shard(lease.shardId, lease.projectId);
      return shard.use((term) => this.answerLease(shard, term, lease));
    }
    const granted = this.context.requests.find(member.row.id, requestId);
    if (!granted) return undefined;
    const isSaved = (await granted.saved) === 'committed';
    if (isSaved && !granted.open) return leaseEnded();
    // Not ended, and not held: its shard has lost its memory. Whether the lease is there, or its commit, which was
    // given up, was done after all, is known when the shard is loaded.
    const shard = this.projects.shard(granted.shardId, granted.projectId);
    const found = await shard.use<RequestAnswer | undefined>(async (term) => {
      const lease = term.leases.get(granted.id);
      return lease ? this.answerLease(shard, term, lease) : ok(undefined);
    });
    if (!found.ok) return found;
    if (found.value) return ok(found.value);
    return isSaved ? leaseEnded() : undefined;
  }

  private refusalFor(member: Member): Refusal | undefined {
    const { roster, limits } = this.context;
    if (member.row.status === 'banned') return refuse('annotator_banned');
    if (member.row.status === 'paused') return refuse('annotator_paused');
    if (!this.context.mayGrant())
      return refuse('unavailable', undefined, { retryAfterMs: limits.retryAfterMs });
    if (roster.freeCapacitySlot(member) !== undefined) return undefined;
    const { capacity } = member.row;
    return refuse(
      'at_capacity',
      `You hold ${member.leases.size} of ${capacity} leases: submit, skip or release one first.`,
    );
  }

  private candidates(member: Member, request: NodeRequest): ProjectRow[] {
    const named = request.projects === undefined ? undefined : this.projects.bySlugs(request.projects);
    const open = this.projects.inOrder(named).filter((row) => projectBar(member.row, row) !== 'not_member');
    const index = open.findIndex((row) => row.id === request.first);
    const first = open[index];
    if (first && first.settings.projectPriority === open[0]?.settings.projectPriority) {
      open.splice(index, 1);
      open.unshift(first);
    }
    return open;
  }

  private async search(
    member: Member,
    asked: { requestId: string; sole: boolean },
    shards: readonly Shard[],
  ): Promise<Result<RequestAnswer>> {
    let reasons: WaitingReasons = NO_REASONS;
    for (const shard of shards) {
      const tried = await shard.use((term) => this.tryShard(shard, term, member, asked));
      if (tried.ok) {
        if ('assignment' in tried.value) return tried;
        reasons = addReasons(reasons, tried.value.waiting);
      } else {
        if (tried.code !== 'unavailable' || shards.length === 1) return tried;
        reasons = addReasons(reasons, { ...NO_REASONS, unavailableProjects: 1 });
        shard.addWaiter(member, asked.requestId, asked.sole);
      }
      // While this project was being asked, one that was asked before may have pushed something.
      const pushed = await this.repeated(member, asked.requestId);
      if (pushed) return pushed;
    }
    return ok({ waiting: reasons });
  }

  private async tryShard(
    shard: Shard,
    term: Term,
    member: Member,
    { requestId, sole }: { requestId: string; sole: boolean },
  ): Promise<Result<RequestAnswer>> {
    const picked = await shard.pick(term, member, requestId);
    if (picked === 'busy')
      return refuse('busy', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
    if (typeof picked === 'object') {
      this.context.roster.stopWaiting(member);
      return this.answerLease(shard, term, picked);
    }
    if (!term.alive) return shard.unavailable();
    if (!shard.addWaiter(member, requestId, sole))
      return refuse('busy', 'Too many annotators wait in this project.');
    return ok({ waiting: waitingReasons(term, member) });
  }

  /** The data is read while the commit is under way; nothing is said before both are done. */
  private async answerLease(shard: Shard, term: Term, lease: Lease): Promise<Result<RequestAnswer>> {
    const assignment = await viewLease(term, lease);
    return (await lease.saved) === 'committed' ? ok({ assignment }) : shard.unavailable();
  }
}

function leaseEnded(): Refusal {
  return refuse('lease_ended', 'The lease this request led to has ended: ask with a new request id.');
}
