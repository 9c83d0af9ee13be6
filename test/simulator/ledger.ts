import type { AssignmentView, Receipt } from '../../engine/door.ts';
import type { Result } from '../../engine/refusals.ts';
import type { SimDatabase } from './sim-database.ts';

/** How much sooner than promised a lease may end: clocks of processes differ, and answers take time, in ms. */
const SKEW_MS = 400;

/** What people may be told at any time without anything being wrong. */
const EXPECTED: ReadonlySet<string> = new Set([
  'ok',
  'busy',
  'unavailable',
  'lease_ended',
  'already_submitted',
  'at_capacity',
  'unknown_assignment',
]);

/** What people were promised, held against the database at the moment of each promise and at the end. */
export class Ledger {
  readonly problems: string[] = [];
  readonly tally = new Map<string, number>();
  private readonly database: SimDatabase;
  private readonly grants = new Map<string, number>();
  private readonly receipts = new Map<number, string>();
  private readonly promisedUntilMs = new Map<number, number>();
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
  granted(requestId: string, view: AssignmentView): void {
    const { id } = view.ref;
    const before = this.grants.get(requestId);
    // Which request led to a lease that has ended is remembered for a while, not for ever: then it is a new request.
    if (before !== undefined && before !== id && this.isOpen(before))
      this.problems.push(`I4: request ${requestId} led to ${before} and to ${id}`);
    this.grants.set(requestId, id);
    if (!this.database.assignments.has(id)) this.problems.push(`I3: lease ${id} was told and is not on disk`);
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
    if (this.database.drafts.has(key) || this.database.annotations.has(view.ref.id)) return;
    this.problems.push(`I10: the draft under ${view.ref.id} was acknowledged and is not on disk`);
  }

  /** I8: alive until then. */
  beaten(id: number, sentMs: number, expiresInMs: number): void {
    this.promisedUntilMs.set(id, Math.max(this.promisedUntilMs.get(id) ?? 0, sentMs + expiresInMs));
  }

  /** After each step: what was written since the last look. */
  look(): void {
    const { transitions } = this.database;
    for (; this.seen < transitions.length; this.seen++) {
      const row = transitions[this.seen];
      if (!row || row.assignmentId === null) continue;
      const until = this.promisedUntilMs.get(row.assignmentId) ?? 0;
      const isTimeout = row.event === 'expired' || row.event === 'abandoned';
      // A socket that goes shortens the promise: the grace of a reconnect counts from there.
      if (isTimeout && row.detail?.reason !== 'disconnected' && row.atMs + SKEW_MS < until)
        this.problems.push(
          `I8: lease ${row.assignmentId} ended at ${row.atMs}, and was promised until ${until}`,
        );
    }
  }
}
