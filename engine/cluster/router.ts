import type { RequestAnswer, WaitingReasons, WorkDoor } from '../door.ts';
import type { AnnotatorId, AssignmentRef } from '../ids.ts';
import { ok, type Refusal, type Result, refuse } from '../refusals.ts';
import { addReasons, NO_REASONS } from '../shard/waiting.ts';
import type { Desk } from './desk.ts';
import type { Desks } from './desks.ts';
import type { Beat, NodeDoor, NodeGiveBack, NodeRequest } from './node-door.ts';
import type { Candidate, Routes } from './routes.ts';

type WorkArgs = Parameters<WorkDoor['request']>[0];
type SubmitArgs = Parameters<WorkDoor['submit']>[0];

/**
 * The way of every message of a labeling client from its gateway to the engine that owns the shard, and back.
 *
 * R1 A command on a lease goes to its shard's owner. If that has changed, the new one is found and asked: the client
 *    notices nothing of a hand-over. Every command is safe to repeat, so a doubt is resolved by asking again.
 * R2 A request is served from this process's own shards first, then from those of others, one at a time.
 * R3 Who finds nothing waits at every engine that was asked. If that is one alone, it leases what comes free at once; if
 *    there are several they say that there is something, and the request is asked again (see NodeRequest.sole).
 */
export class Router {
  private readonly desks: Desks;
  private readonly routes: Routes;
  private readonly retryAfterMs: number;

  constructor(args: { desks: Desks; routes: Routes; retryAfterMs: number }) {
    this.desks = args.desks;
    this.routes = args.routes;
    this.retryAfterMs = args.retryAfterMs;
  }

  request(args: WorkArgs): Promise<Result<RequestAnswer>> {
    const desk = this.desks.of(args.annotatorId);
    return desk.inTurn(() => this.search(desk, args.requestId, args.projects));
  }

  /** There may be something for somebody who waits: asks again, under the same request id. */
  serve(desk: Desk): Promise<RequestAnswer | undefined> {
    return desk.inTurn(async () => {
      const { wait } = desk;
      if (!wait || desk.sockets === 0) return undefined;
      const answer = await this.search(desk, wait.requestId, wait.projects);
      if (answer.ok) return answer.value;
      // Nothing is lost: while they wait, whoever comes back or changes is asked again.
      desk.wait ??= wait;
      return undefined;
    });
  }

  async submit(args: SubmitArgs): ReturnType<WorkDoor['submit']> {
    const { annotatorId, ref, submissionId, result, projects } = args;
    const desk = this.desks.of(annotatorId);
    const candidates = args.next ? this.routes.candidates(annotatorId, projects, ref.projectId) : [];
    const sent = await this.atOwner(desk, ref, (node, owner) => {
      // The engine that takes the answer looks for the next task, too: one round trip, one commit.
      const mine = candidates.find((candidate) => candidate.address === owner.address);
      const next = mine && { next: this.fieldsFor(desk, mine, projects) };
      const gateway = this.desks.address;
      return node.submit({ annotatorId, ref, gateway, submissionId, result, ...next });
    });
    if (!sent.ok) return this.noteEnd(desk, ref, sent);
    desk.leases.delete(ref.id);
    const { receipt, next } = sent.value;
    const isFound = next !== undefined && 'assignment' in next;
    if (next !== undefined) this.noteAnswer(desk, { requestId: submissionId, projects }, next);
    if (!args.next) {
      this.desks.roomAt(desk);
      return ok({ receipt });
    }
    if (isFound || (next !== undefined && candidates.length === 1)) return ok({ receipt, next });
    const more = await desk.inTurn(() => this.search(desk, submissionId, projects, ref));
    return ok({ receipt, ...(more.ok ? { next: more.value } : {}) });
  }

  async onLease<T>(
    annotatorId: AnnotatorId,
    ref: AssignmentRef,
    ask: (node: NodeDoor) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const desk = this.desks.of(annotatorId);
    const answer = await this.atOwner(desk, ref, ask);
    return answer.ok ? answer : this.noteEnd(desk, ref, answer);
  }

  async giveBack(
    annotatorId: AnnotatorId,
    ref: AssignmentRef,
    how: NodeGiveBack['how'],
    reason?: string,
  ): Promise<Result<{ ended: true }>> {
    const gateway = this.desks.address;
    const args = { annotatorId, ref, how, gateway, ...(reason === undefined ? {} : { reason }) };
    const answer = await this.onLease(annotatorId, ref, (node) => node.giveBack(args));
    if (!answer.ok) return answer;
    const desk = this.desks.of(annotatorId);
    desk.leases.delete(ref.id);
    this.desks.roomAt(desk);
    return answer;
  }

  /** Leases of one owner travel together. */
  async heartbeat(annotatorId: AnnotatorId, refs: readonly AssignmentRef[]): Promise<Result<Beat>> {
    const desk = this.desks.of(annotatorId);
    const only = this.routes.onlyEngine();
    if (only) return only.heartbeat(annotatorId, refs);
    const beats = await Promise.all(
      refs.map((ref) => this.atOwner(desk, ref, (node) => node.heartbeat(annotatorId, [ref]))),
    );
    const alive = [];
    const ended = [];
    for (const [i, beat] of beats.entries()) {
      const ref = refs[i];
      if (beat.ok) {
        alive.push(...beat.value.alive);
        ended.push(...beat.value.ended);
      } else if (beat.code === 'unknown_assignment' && ref) {
        ended.push(ref);
      } else {
        return beat;
      }
    }
    for (const ref of ended) desk.leases.delete(ref.id);
    return ok({ alive, ended });
  }

  private async search(
    desk: Desk,
    requestId: string,
    projects: readonly string[] | undefined,
    first?: AssignmentRef,
  ): Promise<Result<RequestAnswer>> {
    const repeated = await this.repeated(desk, { requestId, projects });
    if (repeated) return repeated;
    const refusals: Refusal[] = [];
    let reasons: WaitingReasons | undefined;
    const candidates = this.routes.candidates(desk.annotatorId, projects, first?.projectId);
    if (candidates.length === 0) return this.unavailable();
    const asked = { requestId, projects };
    for (const candidate of candidates) {
      const answer = await this.ask(desk, candidate, asked);
      if (!answer.ok) {
        desk.isUnsure = true;
        refusals.push(answer);
      } else if ('assignment' in answer.value) {
        this.noteAnswer(desk, asked, answer.value, candidate);
        return answer;
      } else {
        reasons = addReasons(reasons ?? NO_REASONS, answer.value.waiting);
      }
    }
    if (reasons === undefined) return this.worst(refusals);
    const away = refusals.filter((refusal) => refusal.code === 'unavailable').length;
    reasons = addReasons(reasons, { ...NO_REASONS, unavailableProjects: away });
    this.noteAnswer(desk, asked, { waiting: reasons });
    if (away > 0) this.desks.serveAgain(desk);
    return ok({ waiting: reasons });
  }

  /**
   * The lease that this request id led to at another engine, when an answer was lost, or given to another gateway. Two
   * engines that are asked at the same time are told apart by the database.
   */
  private async repeated(
    desk: Desk,
    asked: { requestId: string; projects: readonly string[] | undefined },
  ): Promise<Result<RequestAnswer> | undefined> {
    if (!desk.isUnsure || this.routes.onlyEngine()) return undefined;
    if (!(await this.desks.readHoldings(desk))) return this.unavailable();
    desk.isUnsure = false;
    const lease = [...desk.leases.values()].find((one) => one.requestId === asked.requestId);
    if (!lease) return undefined;
    const answer = await this.atOwner(desk, lease.ref, (_node, owner) =>
      this.ask(desk, { ...owner, isOnly: false }, asked),
    );
    if (answer.ok) this.noteAnswer(desk, asked, answer.value);
    else desk.isUnsure = true;
    return answer;
  }

  private async ask(
    desk: Desk,
    candidate: Candidate,
    asked: { requestId: string; projects: readonly string[] | undefined },
  ): Promise<Result<RequestAnswer>> {
    const { annotatorId } = desk;
    this.desks.engage(desk, candidate.address);
    const request = {
      annotatorId,
      requestId: asked.requestId,
      ...this.fieldsFor(desk, candidate, asked.projects),
    };
    const answer = await candidate.door.request(request);
    if (answer.ok || answer.code !== 'at_capacity' || request.elsewhere.length === 0) return answer;
    // What we believe that they hold elsewhere may have ended without our hearing of it.
    await this.desks.readHoldings(desk);
    return candidate.door.request({ ...request, ...this.fieldsFor(desk, candidate, asked.projects) });
  }

  private fieldsFor(
    desk: Desk,
    candidate: Candidate,
    projects: readonly string[] | undefined,
  ): Omit<NodeRequest, 'annotatorId' | 'requestId'> {
    return {
      gateway: this.desks.address,
      rev: this.desks.presence(desk),
      ...(projects === undefined ? {} : { projects }),
      ...(candidate.first === undefined ? {} : { first: candidate.first }),
      take: candidate.take,
      elsewhere: this.routes.slotsElsewhere(desk.leases.values(), candidate.address),
      sole: candidate.isOnly,
    };
  }

  private noteAnswer(
    desk: Desk,
    asked: { requestId: string; projects: readonly string[] | undefined },
    answer: RequestAnswer,
    from?: Candidate,
  ): void {
    if ('assignment' in answer) {
      desk.took(answer.assignment, asked.requestId);
      desk.wait = undefined;
      if (from && !from.isOnly) this.desks.stopWaiting(desk, from.address);
    } else {
      desk.wait = asked;
    }
  }

  private noteEnd(desk: Desk, ref: AssignmentRef, refusal: Refusal): Refusal {
    if (refusal.code === 'lease_ended' || refusal.code === 'already_submitted') desk.leases.delete(ref.id);
    return refusal;
  }

  private async atOwner<T>(
    desk: Desk,
    ref: AssignmentRef,
    ask: (node: NodeDoor, candidate: Candidate) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    return this.routes.atOwner(
      (isAgain) => this.routes.shardOfLease(ref, desk.leases.get(ref.id), isAgain),
      (candidate) => {
        this.desks.engage(desk, candidate.address);
        return ask(candidate.door, candidate);
      },
    );
  }

  /** Of several refusals the one that says most: what can be tried again comes last. */
  private worst(refusals: readonly Refusal[]): Refusal {
    const order = ['annotator_banned', 'annotator_paused', 'at_capacity', 'invalid', 'busy', 'unavailable'];
    for (const code of order) {
      const found = refusals.find((refusal) => refusal.code === code);
      if (found) return found;
    }
    return refusals[0] ?? this.unavailable();
  }

  private unavailable(): Refusal {
    return refuse('unavailable', undefined, { retryAfterMs: this.retryAfterMs });
  }
}
