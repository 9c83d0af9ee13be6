import type { JsonObject } from '../../settings.ts';
import type { Transaction } from '../database.ts';

export interface AuditRecord {
  readonly id: number;
  readonly at: Date;
  /** Who, for example `admin:token:3`. */
  readonly actor: string;
  readonly action: string;
  /** What it was done to: an id, or a project's slug. */
  readonly subject: string;
  readonly detail: JsonObject | null;
}

/** Who changed what, in the same transaction as the change. Detail never holds tokens, names or task data. */
export async function insertAudit(
  tx: Transaction,
  entry: { actor: string; action: string; subject: string; detail?: JsonObject },
): Promise<void> {
  await tx('audit_log').insert({
    actor: entry.actor,
    action: entry.action,
    subject: entry.subject,
    detail: entry.detail === undefined ? null : JSON.stringify(entry.detail),
  });
}

/** Oldest first. */
export async function listAudit(
  tx: Transaction,
  page: { after: number; limit: number },
): Promise<AuditRecord[]> {
  return tx<AuditRecord>('audit_log')
    .select('id', 'at', 'actor', 'action', 'subject', 'detail')
    .where('id', '>', page.after)
    .orderBy('id')
    .limit(page.limit);
}
