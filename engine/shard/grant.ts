import type { AssignmentView } from '../door.ts';
import { projectBar, taskBar } from '../eligibility.ts';
import type { AssignmentId } from '../ids.ts';
import type { Member } from '../roster.ts';
import { advanceTask } from './advance.ts';
import { type Lease, leaseEndsMs } from './lease.ts';
import { freeSlot, holdsLease, isReady, type TaskEntry } from './task-entry.ts';
import type { Term } from './term.ts';

/** The one eligibility rule, of request and of push, for a task in memory. */
export function suits(member: Member, task: TaskEntry): boolean {
  return isReady(task) && taskBar(member.row, task) === undefined && !holdsLease(task, member.row.id);
}

/** True when this annotator could be given something by this project now. */
export function mayReceive(term: Term, member: Member): boolean {
  return (
    term.project.status === 'active' &&
    term.context.mayGrant() &&
    projectBar(member.row, term.project) === undefined &&
    term.context.roster.freeCapacitySlot(member) !== undefined
  );
}

/**
 * Leases a slot of the task. The caller has asked `suits` and `mayReceive`; nothing may have happened in between.
 *
 * @returns undefined when no id is at hand yet or the task had to be quarantined: pick again.
 */
export function grant(
  term: Term,
  member: Member,
  task: TaskEntry,
  requestId: string | null,
): Lease | undefined {
  const capacitySlot = term.context.roster.freeCapacitySlot(member);
  const id = term.context.ids.take();
  if (capacitySlot === undefined || id === undefined) return undefined;
  const slot = freeSlot(task);
  if (!advanceTask(term, task, { type: 'LEASE' })) return undefined;
  const lease = openLease(term, { id, task, member, slot, capacitySlot, requestId });
  const writes = term.write();
  writes.insertAssignment({
    id,
    taskId: task.id,
    annotatorId: member.row.id,
    slot,
    capacitySlot,
    attempt: lease.attempt,
    requestId,
    state: lease.state,
    deadlineInMs: leaseEndsMs(lease) - term.context.clock.nowMs(),
    endReason: null,
  });
  writes.transition({
    event: 'assigned',
    taskId: task.id,
    assignmentId: id,
    annotatorId: member.row.id,
    taskState: task.snapshot.state,
    assignmentState: lease.state,
    detail: { slot, attempt: lease.attempt },
  });
  lease.saved = term.saved();
  if (requestId !== null) term.context.requests.remember(member.row.id, requestId, lease);
  term.queue.place(task, false);
  return lease;
}

function openLease(
  term: Term,
  args: {
    id: AssignmentId;
    task: TaskEntry;
    member: Member;
    slot: number;
    capacitySlot: number;
    requestId: string | null;
  },
): Lease {
  const { settings } = term.project;
  const nowMs = term.context.clock.nowMs();
  const lease: Lease = {
    id: args.id,
    projectId: term.projectId,
    shardId: term.shardId,
    task: args.task,
    annotatorId: args.member.row.id,
    slot: args.slot,
    capacitySlot: args.capacitySlot,
    attempt: args.task.snapshot.context.attempts + 1,
    requestId: args.requestId,
    state: settings.offerMs > 0 ? 'offered' : 'active',
    startedMs: nowMs,
    offerEndsMs: nowMs + settings.offerMs,
    silentAtMs: nowMs + settings.heartbeatMs,
    endsMs: nowMs + settings.maxDurationMs,
    warned: false,
    dropped: false,
    hasDraft: false,
    saved: Promise.resolve('lost'),
    open: true,
    dueMs: 0,
    heapIndex: -1,
  };
  enterLease(term, args.member, lease);
  return lease;
}

/** Makes the lease known everywhere it has to be; used by a grant and by recovery. */
export function enterLease(term: Term, member: Member, lease: Lease): void {
  term.leases.set(lease.id, lease);
  lease.task.leases.set(lease.id, lease);
  member.leases.set(lease.id, lease);
  term.schedule(lease, nextLookMs(term, lease));
}

/** When the lease must be looked at next: its end, or the moment to warn its holder. */
export function nextLookMs(term: Term, lease: Lease): number {
  const end = leaseEndsMs(lease);
  return lease.warned ? end : Math.min(end, lease.endsMs - warningMs(term));
}

/** How long before the maximum duration the holder is warned, in ms. */
export function warningMs(term: Term): number {
  return Math.min(60_000, term.project.settings.maxDurationMs / 5);
}

/** The lease as its holder sees it. @throws when the database is away. */
export async function viewLease(term: Term, lease: Lease): Promise<AssignmentView> {
  const { drafts, payloads, clock } = term.context;
  // A draft can only be there if the annotator had this task before, and then somebody's attempt failed.
  const mayHaveDraft = lease.hasDraft || lease.attempt > 1 || lease.task.requeued;
  const [data, draft] = await Promise.all([
    payloads.get(lease.task.id),
    mayHaveDraft ? drafts.get(lease.task.id, lease.annotatorId) : undefined,
  ]);
  if (draft !== undefined) lease.hasDraft = true;
  const nowMs = clock.nowMs();
  return {
    ref: { projectId: term.projectId, id: lease.id },
    annotatorId: lease.annotatorId,
    project: term.project.slug,
    taskId: lease.task.id,
    data,
    ...(draft === undefined ? {} : { draft }),
    state: lease.state,
    expiresInMs: Math.max(0, Math.round(leaseEndsMs(lease) - nowMs)),
    maxDurationMs: Math.max(0, Math.round(lease.endsMs - nowMs)),
    attempt: lease.attempt,
    capacitySlot: lease.capacitySlot,
    shardId: term.shardId,
  };
}
