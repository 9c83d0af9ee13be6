import type { AssignmentEvent } from '../../machines/index.ts';
import type { EndReason } from '../door.ts';
import { storableText } from '../storable-json.ts';
import type { TransitionName } from '../store/codes.ts';
import type { ShardCounters } from '../store/store.ts';
import { advanceAssignment, advanceTask, closeLease } from './advance.ts';
import type { Lease } from './lease.ts';
import type { Term } from './term.ts';

type EndEvent = Extract<AssignmentEvent['type'], 'EXPIRE' | 'ABANDON' | 'SKIP' | 'RELEASE' | 'REVOKE'>;

const ENDS: Record<EndEvent, { transition: TransitionName; counter: keyof ShardCounters | undefined }> = {
  EXPIRE: { transition: 'expired', counter: 'expired' },
  ABANDON: { transition: 'abandoned', counter: 'abandoned' },
  SKIP: { transition: 'skipped', counter: 'skipped' },
  RELEASE: { transition: 'released', counter: undefined },
  REVOKE: { transition: 'revoked', counter: undefined },
};

/**
 * Ends an open lease without an answer and frees its slot. A skipped task is never offered to its annotator
 * again; every other end leaves that open, and the draft waits for them. A missed offer costs the task nothing:
 * nobody looked at it.
 *
 * @param args.note what the person said, kept with the assignment, never in the history (it may quote the task).
 */
export function endLease(
  term: Term,
  lease: Lease,
  args: { event: EndEvent; reason: EndReason; actor?: string; note?: string; tellHolder: boolean },
): void {
  const { task } = lease;
  const state = advanceAssignment(lease.state, { type: args.event });
  if (state === undefined) throw new Error(`assignment ${lease.id} cannot ${args.event}`);
  closeLease(term, lease);
  if (args.event === 'SKIP') task.had = [...task.had, lease.annotatorId];
  advanceTask(term, task, { type: 'FREE', countsAttempt: args.reason !== 'offer_timeout' });
  const writes = term.write();
  const { transition, counter } = ENDS[args.event];
  if (counter) term.count(counter, 1);
  writes.task(task);
  writes.updateAssignment(lease.id, {
    state,
    endReason: args.note === undefined ? args.reason : `${args.reason}: ${storableText(args.note)}`,
  });
  writes.transition({
    event: transition,
    taskId: task.id,
    assignmentId: lease.id,
    annotatorId: lease.annotatorId,
    taskState: task.snapshot.state,
    assignmentState: state,
    detail: { reason: args.reason },
    ...(args.actor === undefined ? {} : { actor: args.actor }),
  });
  term.remember(lease.id, {
    annotatorId: lease.annotatorId,
    state,
    receipt: undefined,
    saved: term.saved(),
  });
  if (args.tellHolder) {
    const ref = { projectId: term.projectId, id: lease.id };
    writes.onCommitted(() =>
      term.context.push(lease.annotatorId, { kind: 'revoked', ref, reason: args.reason }),
    );
  }
  term.queue.place(task, true);
}
