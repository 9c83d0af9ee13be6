import { type AnnotatorId, asId, type Incarnation, type ShardId, type TaskId } from '../../ids.ts';
import type { Database, Transaction } from '../database.ts';
import type { CommitOutcome, ShardBatch } from '../store.ts';
import { fenceParameters, releaseParameters, rowsParameters } from './commit-rows.ts';
import { FENCE_SQL, FENCED, RELEASE_SQL, ROWS_SQL } from './commit-sql.ts';

const UNIQUE_VIOLATION = '23505';

/**
 * Writes the batches in one transaction, all or nothing.
 *
 * The connection pipelines: the statements are sent together and executed one after the other. While the fence waits for the
 * commit before this one, releases and rows already lie at the server, which then goes on without asking back.
 *
 * An error before COMMIT was sent means that nothing was written. After that, an error the server itself reports
 * (it has a SQLSTATE of a rollback) also means nothing; a lost connection means that nobody knows.
 */
export async function commitBatches(
  db: Database,
  incarnation: Incarnation,
  batches: readonly ShardBatch[],
  passed: () => void,
): Promise<CommitOutcome> {
  const sent = { commit: false };
  try {
    await db.transaction(async (tx) => {
      await write(tx, incarnation, batches, passed);
      sent.commit = true;
    });
    return { kind: 'committed' };
  } catch (error) {
    const { code, detail } = pgError(error);
    // I6 and I7: not ours, not under the epoch we know, or our numbers do not follow the last one.
    if (code === FENCED) return { kind: 'fenced', shardIds: shardIds(detail, batches) };
    const cause = error instanceof Error ? error : new Error(String(error));
    if (sent.commit && !isRollback(code)) return { kind: 'unknown', error: cause };
    const clash = code === UNIQUE_VIOLATION ? clashOf(detail) : new Map<string, number>();
    const annotator = clash.get('annotator_id');
    const task = clash.get('task_id');
    if (annotator !== undefined && task === undefined)
      return { kind: 'over_capacity', annotatorId: asId<AnnotatorId>(annotator) };
    const clashingTask = task === undefined ? undefined : asId<TaskId>(task);
    return { kind: 'failed', error: cause, ...(clashingTask === undefined ? {} : { clashingTask }) };
  }
}

/** @throws the error of the first statement that failed: the others behind it only say that the transaction is over. */
async function write(
  tx: Transaction,
  incarnation: Incarnation,
  batches: readonly ShardBatch[],
  passed: () => void,
): Promise<void> {
  const fence = tx.raw(FENCE_SQL, fenceParameters(incarnation, batches)).options({ name: 'baton_fence' });
  const release = batches.some((b) => b.assignmentReleases.length > 0)
    ? tx.raw(RELEASE_SQL, releaseParameters(batches)).options({ name: 'baton_release' })
    : undefined;
  // Only when it is done: the next commit may take places of capacity, in another shard, that this one releases.
  const released = Promise.all([fence, release]).then(passed);
  const rows = tx.raw(ROWS_SQL, rowsParameters(batches)).options({ name: 'baton_rows' });
  // In the order in which they were sent, whichever rejection is heard first: behind a fence that failed, the others say
  // nothing but that the transaction is over, and every shard of the commit would be lost instead of the one at fault.
  for (const outcome of await Promise.allSettled([released, rows])) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

function shardIds(detail: string, batches: readonly ShardBatch[]): ShardId[] {
  const lost = new Set(detail.split(','));
  return batches.map((batch) => batch.shardId).filter((id) => lost.has(String(id)));
}

/** The columns and values of "Key (task_id, slot)=(17, 0) already exists.", in whatever language its words are. */
function clashOf(detail: string): Map<string, number> {
  const [, names = '', values = ''] = /\(([^)]*)\)=\(([^)]*)\)/.exec(detail) ?? [];
  const numbers = values.split(', ').map(Number);
  return new Map(
    names
      .split(', ')
      .flatMap((name, i): [string, number][] =>
        Number.isSafeInteger(numbers[i]) ? [[name, numbers[i] ?? 0]] : [],
      ),
  );
}

function pgError(error: unknown): { code: string; detail: string } {
  if (typeof error !== 'object' || error === null) return { code: '', detail: '' };
  return {
    code: 'code' in error ? String(error.code) : '',
    detail: 'detail' in error ? String(error.detail) : '',
  };
}

/** Classes 22, 23, 25, 40, 53: the server refused and rolled back. 57 and 08 are shutdowns and lost connections. */
function isRollback(code: string): boolean {
  return /^(22|23|25|40|53)/.test(code);
}
