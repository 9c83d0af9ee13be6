import type { AssignmentView, Receipt } from '../../engine/door.ts';
import type { AnnotatorId, ShardId } from '../../engine/ids.ts';
import type { Result } from '../../engine/refusals.ts';
import { violationsIn } from '../engine/invariants.ts';
import type { SimDatabase } from './sim-database.ts';

/** How much sooner than promised a lease may end: clocks of processes differ, and answers take time, in ms. */
const SKEW_MS = 400;

/** What the data of every simulated task holds. */
export const TASK_DATA = 'data of a simulated task';

/** What people may be told at any time without anything being wrong. */
const EXPECTED: ReadonlySet<string> = new Set([
  'ok',
  'busy',
  'unavailable',
  'lease_ended',
  'already_submitted',
  'at_capacity',
  'unknown_assignment',
  // An offer that was left and is answered late.
  'not_accepted',
  // Of a control command that came too late, or too early.
  'conflict',
  'not_found',
]);

/** What people were promised, held against the database at the moment of each promise and at the end. */
export class Ledger {
  readonly problems: string[] = [];
  readonly tally = new Map<string, number>();
  private readonly database: SimDatabase;
  private readonly grants = new Map<string, number>();
  private readonly receipts = new Map<number, string>();
  private readonly promisedUntilMs = new Map<number, number>();
  /** When a draft was first acknowledged, by task and annotator. */
  private readonly drafts = new Map<string, number>();
  private readonly lastSeqs = new Map<ShardId, number>();
  private seen = 0;

  constructor(database: SimDatabase) {
    this.database = database;
  }

  answered(what: string, answer: Result<unknown>): void {
    const code = answer.ok ? 'ok' : answer.code;
    const key = `${what} ${code}`;
    this.tally.set(key, (this.tally.get(key) ?? 0) + 1);
    if (!EXPECTED.has(code)) this.problems.push(`${what} was refused: ${code}`);
  }

  /** I3, I4: on disk by now, and a request id leads to one lease. */
  granted(annotatorId: AnnotatorId, requestId: string, view: AssignmentView): void {
    this.told(annotatorId, view);
    const { id } = view.ref;
    const before = this.grants.get(requestId);
    // Which request led to a lease that has ended is remembered for a while, not for ever: then it is a new request.
    if (before !== undefined && before !== id && this.isOpen(before))
      this.problems.push(`I4: request ${requestId} led to ${before} and to ${id}`);
    this.grants.set(requestId, id);
  }

  /** I3, I9, I10: a lease that is told is on disk, is told to its holder, and brings back the draft they had. */
  told(annotatorId: AnnotatorId, view: AssignmentView): void {
    const { id } = view.ref;
    const row = this.database.assignments.get(id);
    if (!row) this.problems.push(`I3: lease ${id} was told and is not on disk`);
    else if (row.annotatorId !== annotatorId)
      this.problems.push(`I9: lease ${id} of ${row.annotatorId} was told to ${annotatorId}`);
    const key = `${view.taskId}:${annotatorId}`;
    // What was saved under this very lease may have crossed the view on its way.
    const wasBefore = (this.drafts.get(key) ?? Number.POSITIVE_INFINITY) < (row?.grantedMs ?? 0);
    if (wasBefore && view.draft === undefined && this.database.drafts.has(key))
      this.problems.push(`I10: lease ${id} came without the draft that its holder had saved`);
  }

  private isOpen(id: number): boolean {
    const state = this.database.assignments.get(id)?.state;
    return state === 'offered' || state === 'active';
  }

  submitted(view: AssignmentView, receipt: Receipt): void {
    const { id } = view.ref;
    const text = JSON.stringify(receipt);
    const before = this.receipts.get(id);
    if (before !== undefined && before !== text)
      this.problems.push(`I4: the receipts of ${id} are ${before} and ${text}`);
    this.receipts.set(id, text);
    const row = this.database.annotations.get(id);
    if (!row) this.problems.push(`I3: the answer of ${id} was acknowledged and is not on disk`);
    else if (row.counted !== (receipt.status === 'counted'))
      this.problems.push(`I4: the receipt of ${id} says ${receipt.status}, the disk ${row.counted}`);
  }

  drafted(view: AssignmentView): void {
    const key = `${view.taskId}:${view.annotatorId}`;
    if (!this.drafts.has(key)) this.drafts.set(key, this.database.nowMs());
    if (this.database.drafts.has(key) || this.database.annotations.has(view.ref.id)) return;
    this.problems.push(`I10: the draft under ${view.ref.id} was acknowledged and is not on disk`);
  }

  /** I8: alive until then. */
  beaten(id: number, sentMs: number, expiresInMs: number): void {
    this.promisedUntilMs.set(id, Math.max(this.promisedUntilMs.get(id) ?? 0, sentMs + expiresInMs));
  }

  /** After each step: what was written since the last look, and all of the tasks that were written to. */
  look(): void {
    const touched = this.database.touchedRows();
    if (touched) this.problems.push(...violationsIn(touched), ...this.overCapacity());
    const { transitions } = this.database;
    for (; this.seen < transitions.length; this.seen++) {
      const row = transitions[this.seen];
      if (!row) continue;
      const last = this.lastSeqs.get(row.shardId) ?? 0;
      if (row.seq !== last + 1) this.problems.push(`I7: shard ${row.shardId} counts ${last}, ${row.seq}`);
      this.lastSeqs.set(row.shardId, row.seq);
      if (JSON.stringify(row.detail)?.includes(TASK_DATA))
        this.problems.push(`I9: transition ${row.seq} of shard ${row.shardId} holds a task's data`);
      if (row.assignmentId === null) continue;
      const until = this.promisedUntilMs.get(row.assignmentId) ?? 0;
      const isTimeout = row.event === 'expired' || row.event === 'abandoned';
      // A socket that goes shortens the promise: the grace of a reconnect counts from there.
      if (isTimeout && row.detail?.reason !== 'disconnected' && row.atMs + SKEW_MS < until)
        this.problems.push(
          `I8: lease ${row.assignmentId} ended at ${row.atMs}, and was promised until ${until}`,
        );
    }
  }

  /** I2, by the rows of all open leases. */
  private overCapacity(): string[] {
    const held = new Map<AnnotatorId, number>();
    for (const { annotatorId } of this.database.openLeases())
      held.set(annotatorId, (held.get(annotatorId) ?? 0) + 1);
    return [...held].flatMap(([id, count]) => {
      const capacity = this.database.annotators.get(id)?.capacity ?? 0;
      return count <= capacity ? [] : [`I2: annotator ${id} holds ${count} of ${capacity} leases`];
    });
  }
}
