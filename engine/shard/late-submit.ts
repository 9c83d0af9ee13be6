import type { Receipt } from '../door.ts';
import { type Refusal, refuse } from '../refusals.ts';
import type { AssignmentRow } from '../store/store.ts';
import { advanceAssignment, advanceTask } from './advance.ts';
import { checkResult, type Submission } from './submit.ts';
import { freeSlot, holdsLease, type TaskEntry, takesLateAnswer } from './task-entry.ts';
import type { Term } from './term.ts';

/**
 * An answer whose lease has ended (I10). Only silence and time can be made up for: what was skipped, given back
 * or taken back by a supervisor stays ended. Under `accept` the answer counts if a slot is still free and is kept
 * as surplus if not; under `surplus` it never counts; under `refuse` it becomes the annotator's draft.
 */
export function submitLate(
  term: Term,
  row: AssignmentRow,
  task: TaskEntry,
  submission: Submission,
): Receipt | Refusal {
  const mayBeMadeUp = row.state === 'expired' || row.state === 'abandoned';
  const checked = checkResult(term, submission.result);
  if ('code' in checked) return checked;
  const policy = term.project.settings.lateSubmit;
  const again = holdsLease(task, submission.annotatorId) || task.had.includes(submission.annotatorId);
  if (!mayBeMadeUp || policy === 'refuse' || again) {
    keepAsDraft(term, task, submission, checked.text);
    return refuse('lease_ended');
  }
  const counts = policy === 'accept' && takesLateAnswer(task);
  const slot = counts ? freeSlot(task) : row.slot;
  if (counts && !advanceTask(term, task, { type: 'FILL_FREE' })) return refuse('quarantined');
  const state = advanceAssignment(row.state, { type: counts ? 'SUBMIT_LATE' : 'KEEP_SURPLUS' });
  if (state === undefined) return refuse('lease_ended');
  const receipt: Receipt = {
    assignment: submission.ref,
    submissionId: submission.submissionId,
    status: counts ? 'counted' : 'surplus',
    late: true,
  };
  // A surplus answer excludes its author too: the same person twice on one task adds nothing.
  task.had = [...task.had, submission.annotatorId];
  if (counts) task.filledSlots = [...task.filledSlots, slot];
  const writes = term.write();
  term.count(counts ? 'submitted' : 'surplus', 1);
  writes.task(task);
  writes.updateAssignment(row.ref.id, counts ? { state, slot } : { state });
  writes.annotation({
    assignmentId: row.ref.id,
    taskId: task.id,
    annotatorId: submission.annotatorId,
    counted: counts,
    late: true,
    submissionId: submission.submissionId,
    resultText: checked.text,
    leadTimeMs: Math.round(row.ageMs),
  });
  writes.draft({
    taskId: task.id,
    annotatorId: submission.annotatorId,
    assignmentId: row.ref.id,
    draftText: null,
  });
  writes.transition({
    event: counts ? 'submitted' : 'surplus',
    taskId: task.id,
    assignmentId: row.ref.id,
    annotatorId: submission.annotatorId,
    taskState: task.snapshot.state,
    assignmentState: state,
    detail: { late: true },
  });
  term.remember(row.ref.id, {
    annotatorId: submission.annotatorId,
    state,
    receipt,
    saved: term.saved(),
  });
  term.queue.place(task, false);
  return receipt;
}

/** Not over the draft of a lease they hold now, which may be newer, and not of a task they will never see again. */
function keepAsDraft(term: Term, task: TaskEntry, submission: Submission, text: string): void {
  if (task.had.includes(submission.annotatorId)) return;
  const held = [...task.leases.values()].find((lease) => lease.annotatorId === submission.annotatorId);
  if (held?.hasDraft) return;
  term.write().draft({
    taskId: task.id,
    annotatorId: submission.annotatorId,
    assignmentId: submission.ref.id,
    draftText: text,
  });
  // The new lease must know that there is a draft to show and to delete.
  if (held) held.hasDraft = true;
}
