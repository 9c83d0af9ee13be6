import type { AssignmentState } from '../machines/index.ts';
import type { Beat, NodeGiveBack, NodeSubmit } from './cluster/node-door.ts';
import type { EngineContext } from './context.ts';
import type { Receipt, RequestAnswer } from './door.ts';
import type { AnnotatorId, AssignmentRef } from './ids.ts';
import type { Projects } from './projects.ts';
import { ok, type Result, refuse } from './refusals.ts';
import type { Requests } from './requests.ts';
import type { Json } from './settings.ts';
import { advanceAssignment } from './shard/advance.ts';
import { findTask } from './shard/control.ts';
import { endLease } from './shard/end-lease.ts';
import { nextLookMs } from './shard/grant.ts';
import { submitLate } from './shard/late-submit.ts';
import { type Lease, leaseEndsMs } from './shard/lease.ts';
import type { Shard } from './shard/shard.ts';
import { type Submission, submitOpen } from './shard/submit.ts';
import type { Term } from './shard/term.ts';
import { isStorableText, storableJson } from './storable-json.ts';

/** Everything a holder does with a lease. Each is safe to repeat: the second time gets the first answer. */
export class LeaseCommands {
  private readonly context: EngineContext;
  private readonly projects: Projects;
  private readonly requests: Requests;

  constructor(context: EngineContext, projects: Projects, requests: Requests) {
    this.context = context;
    this.projects = projects;
    this.requests = requests;
  }

  accept(annotatorId: AnnotatorId, ref: AssignmentRef): Promise<Result<{ expiresInMs: number }>> {
    return this.withLease(annotatorId, ref, async (shard, term, lease) => {
      const state = advanceAssignment(lease.state, { type: 'ACCEPT' });
      if (state === 'active') {
        lease.state = state;
        lease.startedMs = this.context.clock.nowMs();
        lease.silentAtMs = lease.startedMs + term.project.settings.heartbeatMs;
        term.schedule(lease, nextLookMs(term, lease));
        const writes = term.write();
        // Until this is durable the offer may come back, with its own end: nothing longer is promised.
        lease.saved = term.saved();
        writes.updateAssignment(lease.id, { state: 'active', deadlineInMs: this.remainingMs(lease) });
        writes.transition({
          event: 'accepted',
          taskId: lease.task.id,
          assignmentId: lease.id,
          annotatorId,
          taskState: lease.task.snapshot.state,
          assignmentState: 'active',
        });
      }
      return shard.saved(term, ok({ expiresInMs: this.remainingMs(lease) }));
    });
  }

  async heartbeat(annotatorId: AnnotatorId, refs: readonly AssignmentRef[]): Promise<Result<Beat>> {
    const alive: { ref: AssignmentRef; expiresInMs: number }[] = [];
    const ended: AssignmentRef[] = [];
    for (const ref of refs) {
      const beat = await this.inShard(ref, (shard, term) => this.beat(shard, term, annotatorId, ref));
      if (!beat.ok && beat.code !== 'unknown_assignment') return beat;
      if (beat.ok && beat.value !== undefined) alive.push({ ref, expiresInMs: beat.value });
      else ended.push(ref);
    }
    return ok({ alive, ended });
  }

  /** @returns how long the lease lasts from now, in ms; undefined when it has ended. */
  private async beat(
    shard: Shard,
    term: Term,
    annotatorId: AnnotatorId,
    ref: AssignmentRef,
  ): Promise<Result<number | undefined>> {
    const lease = term.leases.get(ref.id);
    const isTheirs = lease?.annotatorId === annotatorId;
    if (isTheirs) {
      // Also when nothing can be promised now: who is heard is not silent.
      lease.silentAtMs = this.context.clock.nowMs() + term.project.settings.heartbeatMs;
      lease.dropped = false;
    }
    const saved = await (lease ?? term.ended.get(ref.id))?.saved;
    // A node whose term may be over promises nothing, and does not know what has ended (I8).
    if (saved === 'lost' || !this.context.mayGrant()) return shard.unavailable();
    if (saved === undefined && (await this.isOpenOnDisk(ref))) return shard.unavailable();
    return ok(isTheirs && lease.open ? this.remainingMs(lease) : undefined);
  }

  draft(annotatorId: AnnotatorId, ref: AssignmentRef, draft: Json): Promise<Result<{ saved: true }>> {
    return this.withLease(annotatorId, ref, async (shard, term, lease) => {
      if (lease.state === 'offered') return refuse('not_accepted');
      const { resultBytesMax: bytesMax, resultDepthMax: depthMax } = this.context.limits;
      const storable = storableJson(draft, { bytesMax, depthMax });
      if ('problem' in storable) {
        return refuse('invalid_result', 'The draft cannot be kept.', {
          details: [{ path: '', message: storable.problem }],
        });
      }
      lease.hasDraft = true;
      lease.silentAtMs = this.context.clock.nowMs() + term.project.settings.heartbeatMs;
      term
        .write()
        .draft({ taskId: lease.task.id, annotatorId, assignmentId: lease.id, draftText: storable.text });
      return shard.saved(term, ok({ saved: true }));
    });
  }

  async submit(args: NodeSubmit): Promise<Result<{ receipt: Receipt; next?: RequestAnswer }>> {
    if (!isStorableText(args.submissionId)) {
      return refuse('invalid', 'The submission id holds characters that cannot be kept.');
    }
    return this.inShard(args.ref, async (shard, term) => {
      const taken = await this.takeAnswer(term, args);
      if (!taken.ok) return taken;
      const saved = term.ended.get(args.ref.id)?.saved ?? term.saved();
      // Asked for before the commit is sent, so the lease of the next task rides in the same one.
      const next =
        args.next === undefined
          ? undefined
          : this.requests.request({
              ...args.next,
              annotatorId: args.annotatorId,
              requestId: args.submissionId,
              first: term.projectId,
            });
      if ((await saved) !== 'committed') return shard.unavailable();
      const answer = await next;
      return ok({ receipt: taken.value, ...(answer?.ok ? { next: answer.value } : {}) });
    });
  }

  giveBack(args: NodeGiveBack): Promise<Result<{ ended: true }>> {
    const { annotatorId, ref, how, reason: note } = args;
    const event = how === 'skip' ? 'SKIP' : 'RELEASE';
    const reason = how === 'skip' ? 'skipped' : 'released';
    return this.withLease(
      annotatorId,
      ref,
      async (shard, term, lease) => {
        const { task } = lease;
        endLease(term, lease, { event, reason, tellHolder: false, ...(note === undefined ? {} : { note }) });
        shard.offer(term, task);
        return shard.saved(term, ok({ ended: true }));
      },
      { state: reason, answer: { ended: true } },
    );
  }

  /** The receipt, new or repeated. The draft of a refused result stays: the lease is not touched. */
  private async takeAnswer(term: Term, submission: Submission): Promise<Result<Receipt>> {
    const { annotatorId, ref, submissionId } = submission;
    const lease = term.leases.get(ref.id);
    if (lease) {
      if (lease.annotatorId !== annotatorId) return refuse('unknown_assignment');
      const receipt = submitOpen(term, lease, submission);
      return 'code' in receipt ? receipt : ok(receipt);
    }
    const ended = term.ended.get(ref.id);
    if (ended?.receipt) {
      if (ended.annotatorId !== annotatorId) return refuse('unknown_assignment');
      if (ended.receipt.submissionId !== submissionId) return refuse('already_submitted');
      return (await ended.saved) === 'committed' ? ok(ended.receipt) : this.lost();
    }
    if (ended && (await ended.saved) === 'lost') return this.lost();
    return this.takeLateAnswer(term, submission);
  }

  private async takeLateAnswer(term: Term, submission: Submission): Promise<Result<Receipt>> {
    const { annotatorId, ref, submissionId } = submission;
    const row = await this.context.store.readAssignment(ref);
    if (row?.annotatorId !== annotatorId) return refuse('unknown_assignment');
    if (row.submission) {
      if (row.submission.id !== submissionId) return refuse('already_submitted');
      const { counted, late } = row.submission;
      return ok({ assignment: ref, submissionId, status: counted ? 'counted' : 'surplus', late });
    }
    // Its task has moved: the answer is asked again there.
    if (row.shardId !== term.shardId) return this.lost();
    const task = await findTask(term, row.taskId);
    if (!term.alive) return this.lost();
    // Another message with this answer may have overtaken this one while the rows were read.
    const overtaken = term.ended.get(ref.id)?.receipt;
    if (overtaken)
      return overtaken.submissionId === submissionId ? ok(overtaken) : refuse('already_submitted');
    if (!task || isOpen(row.state)) return this.lost();
    const receipt = submitLate(term, row, task, submission);
    term.queue.settle(task);
    if (!('code' in receipt)) return ok(receipt);
    // A refused late answer was kept as a draft: the refusal says so, so that must be durable first.
    return (await term.saved()) === 'committed' ? receipt : this.lost();
  }

  /** @param repeat the state in which an ended assignment makes this a repeat, and the answer it got the first time. */
  private withLease<T>(
    annotatorId: AnnotatorId,
    ref: AssignmentRef,
    run: (shard: Shard, term: Term, lease: Lease) => Promise<Result<T>>,
    repeat?: { state: AssignmentState; answer: T },
  ): Promise<Result<T>> {
    return this.inShard(ref, async (shard, term) => {
      const lease = term.leases.get(ref.id);
      if (lease)
        return lease.annotatorId === annotatorId ? run(shard, term, lease) : refuse('unknown_assignment');
      const ended = term.ended.get(ref.id);
      if (ended && (await ended.saved) === 'lost') return shard.unavailable();
      const known = ended ?? (await this.context.store.readAssignment(ref));
      if (known?.annotatorId !== annotatorId) return refuse('unknown_assignment');
      // Open on disk and not in memory: its end is on its way to the disk.
      if (isOpen(known.state)) return shard.unavailable();
      return repeat && known.state === repeat.state ? ok(repeat.answer) : refuse('lease_ended');
    });
  }

  private async inShard<T>(
    ref: AssignmentRef,
    run: (shard: Shard, term: Term) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const shard = await this.projects.findLeaseShard(ref);
    if ('code' in shard) return shard.code === 'not_found' ? refuse('unknown_assignment') : shard;
    return shard.use((term) => run(shard, term));
  }

  /** A lease that this shard does not know and that has not ended is of another one, which this process has yet to learn. */
  private async isOpenOnDisk(ref: AssignmentRef): Promise<boolean> {
    const row = await this.context.store.readAssignment(ref);
    return row !== undefined && isOpen(row.state);
  }

  private lost(): Result<never> {
    return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
  }

  private remainingMs(lease: Lease): number {
    return Math.max(0, Math.round(leaseEndsMs(lease) - this.context.clock.nowMs()));
  }
}

function isOpen(state: AssignmentState): boolean {
  return state === 'offered' || state === 'active';
}
