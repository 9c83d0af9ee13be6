import type { Engine } from '../door.ts';
import type { Database, Transaction } from '../store/database.ts';

/** What every part of the admin door stands on. */
export interface AdminContext {
  readonly db: Database;
  readonly engine: Pick<Engine, 'control'>;
}

/** Who asks, for histories and the audit log: never a name. */
export type Actor = string;

/** A page by id: rows after this one. */
export interface Page {
  readonly after: number;
  readonly limit: number;
}

export function write<T>(context: AdminContext, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return context.db.transaction(work);
}

/** Everything that `work` reads is of one moment. */
export function read<T>(context: AdminContext, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return context.db.transaction(work, { isolationLevel: 'repeatable read', readOnly: true });
}
