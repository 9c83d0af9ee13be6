import type { JsonObject } from '../../settings.ts';
import type { Transaction } from '../database.ts';

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
