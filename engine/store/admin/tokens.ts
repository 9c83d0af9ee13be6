import { type AnnotatorId, asId } from '../../ids.ts';
import type { Database, Transaction } from '../database.ts';

export type TokenRole = 'annotator' | 'supervisor' | 'admin';

export interface TokenRecord {
  readonly id: number;
  readonly name: string;
  readonly role: TokenRole;
  readonly prefix: string;
  readonly annotatorId: AnnotatorId | null;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

interface Row {
  id: number;
  hash: Buffer;
  name: string;
  role: TokenRole;
  prefix: string;
  annotator_id: number | null;
  created_at: Date;
  expires_at: Date | null;
  revoked_at: Date | null;
}

function recordOf(row: Row): TokenRecord {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    prefix: row.prefix,
    annotatorId: row.annotator_id === null ? null : asId<AnnotatorId>(row.annotator_id),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  };
}

/** @returns undefined when this very token is there already. */
export async function insertToken(
  tx: Transaction,
  token: {
    hash: Buffer;
    prefix: string;
    name: string;
    role: TokenRole;
    annotatorId: AnnotatorId | null;
    expiresAt: Date | null;
  },
): Promise<TokenRecord | undefined> {
  const rows = await tx<Row>('tokens')
    .insert({
      hash: token.hash,
      prefix: token.prefix,
      name: token.name,
      role: token.role,
      annotator_id: token.annotatorId,
      expires_at: token.expiresAt,
    })
    .onConflict('hash')
    .ignore()
    .returning('*');
  return rows[0] === undefined ? undefined : recordOf(rows[0]);
}

export interface ValidToken {
  readonly record: TokenRecord;
  readonly hash: Buffer;
  /** Milliseconds, by the database's clock; null: never. */
  readonly expiresInMs: number | null;
}

/** Those tokens with these hashes that are valid now, by the database's clock. One statement needs no transaction. */
export async function readValidTokens(db: Database, hashes: readonly Buffer[]): Promise<ValidToken[]> {
  const { rows } = await db.raw<{ rows: (Row & { expires_in_ms: number | null })[] }>(
    `select *, (extract(epoch from expires_at - now()) * 1000)::float8 as expires_in_ms from tokens
     where hash = any (?) and revoked_at is null and (expires_at is null or expires_at > now())`,
    [[...hashes]],
  );
  return rows.map((row) => ({ record: recordOf(row), hash: row.hash, expiresInMs: row.expires_in_ms }));
}

export async function readTokenByHash(tx: Transaction, hash: Buffer): Promise<TokenRecord | undefined> {
  const row = await tx<Row>('tokens').where({ hash }).first();
  return row === undefined ? undefined : recordOf(row);
}

/** @param owner an annotator's tokens, or the keys that belong to none. */
export async function listTokens(
  tx: Transaction,
  owner: AnnotatorId | null,
  page: { after: number; limit: number },
): Promise<TokenRecord[]> {
  const query = tx<Row>('tokens').where('id', '>', page.after).orderBy('id').limit(page.limit);
  if (owner === null) query.whereNull('annotator_id');
  else query.where('annotator_id', owner);
  return (await query).map(recordOf);
}

/** @returns whether there is such a token; one that was revoked before keeps its time. */
export async function revokeToken(tx: Transaction, owner: AnnotatorId | null, id: number): Promise<boolean> {
  const query = tx('tokens').where({ id });
  if (owner === null) query.whereNull('annotator_id');
  else query.where('annotator_id', owner);
  const touched = await query.update({ revoked_at: tx.raw('coalesce(revoked_at, now())') });
  return touched > 0;
}

/** @returns the ids of the admin's tokens that were valid until now. */
export async function revokeTokensNamed(tx: Transaction, name: string, except: Buffer): Promise<number[]> {
  const rows = await tx<Row>('tokens')
    .where({ name, role: 'admin' })
    .whereNot('hash', except)
    .whereNull('revoked_at')
    .update({ revoked_at: tx.fn.now() })
    .returning('id');
  return rows.map(({ id }) => id);
}

export async function restoreToken(tx: Transaction, id: number): Promise<void> {
  await tx('tokens').where({ id }).update({ revoked_at: null, expires_at: null });
}
