import type { Receipt } from '../door.ts';
import type { AnnotatorId, AssignmentRef } from '../ids.ts';
import { type Refusal, refuse } from '../refusals.ts';
import type { Json } from '../settings.ts';
import { storableJson } from '../storable-json.ts';
import { advanceAssignment, advanceTask, closeLease } from './advance.ts';
import type { Lease } from './lease.ts';
import type { Term } from './term.ts';

export interface Submission {
  readonly annotatorId: AnnotatorId;
  readonly ref: AssignmentRef;
  readonly submissionId: string;
  readonly result: Json;
}

/** @returns the result as text for the database, or why it cannot be taken. The lease is not touched. */
export function checkResult(term: Term, result: Json): { text: string } | Refusal {
  const { resultBytesMax, resultDepthMax } = term.context.limits;
  const storable = storableJson(result, { bytesMax: resultBytesMax, depthMax: resultDepthMax });
  if ('problem' in storable) {
    return refuse('invalid_result', undefined, { details: [{ path: '', message: storable.problem }] });
  }
  const errors = term.schema()?.validate(result) ?? [];
  return errors.length > 0 ? refuse('invalid_result', undefined, { details: errors }) : storable;
}

/** Takes the answer of an open lease: annotation, filled slot, and the end of the lease, in one commit. */
export function submitOpen(term: Term, lease: Lease, submission: Submission): Receipt | Refusal {
  if (lease.state === 'offered') return refuse('not_accepted');
  const checked = checkResult(term, submission.result);
  if ('code' in checked) return checked;
  const { task } = lease;
  const state = advanceAssignment(lease.state, { type: 'SUBMIT' });
  if (state === undefined || !advanceTask(term, task, { type: 'FILL' })) return refuse('quarantined');
  closeLease(term, lease);
  task.filledSlots = [...task.filledSlots, lease.slot];
  task.had = [...task.had, lease.annotatorId];
  const receipt: Receipt = {
    assignment: submission.ref,
    submissionId: submission.submissionId,
    status: 'counted',
    late: false,
  };
  const writes = term.write();
  term.count('submitted', 1);
  writes.task(task);
  writes.updateAssignment(lease.id, { state });
  writes.annotation({
    assignmentId: lease.id,
    taskId: task.id,
    annotatorId: lease.annotatorId,
    counted: true,
    late: false,
    submissionId: submission.submissionId,
    resultText: checked.text,
    leadTimeMs: Math.round(term.context.clock.nowMs() - lease.startedMs),
  });
  if (lease.hasDraft) {
    writes.draft({
      taskId: task.id,
      annotatorId: lease.annotatorId,
      assignmentId: lease.id,
      draftText: null,
    });
  }
  writes.transition({
    event: 'submitted',
    taskId: task.id,
    assignmentId: lease.id,
    annotatorId: lease.annotatorId,
    taskState: task.snapshot.state,
    assignmentState: state,
  });
  term.remember(lease.id, {
    annotatorId: lease.annotatorId,
    state,
    receipt,
    saved: term.saved(),
  });
  term.queue.place(task, false);
  return receipt;
}
