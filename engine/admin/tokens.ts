import type { AnnotatorId } from '../ids.ts';
import { ok, type Result, refuse } from '../refusals.ts';
import { readAnnotator } from '../store/admin/annotators.ts';
import { insertAudit } from '../store/admin/audit.ts';
import {
  insertToken,
  listTokens,
  readTokenByHash,
  restoreToken,
  revokeToken,
  revokeTokensNamed,
  type TokenRecord,
  type TokenRole,
  type ValidToken,
} from '../store/admin/tokens.ts';
import type { Transaction } from '../store/database.ts';
import { noAnnotator } from './annotators.ts';
import { type Actor, type AdminContext, type Page, read, write } from './context.ts';
import { TokenLookup } from './token-lookup.ts';
import { hashToken, makeToken, prefixOf } from './token-secret.ts';

/** The name of the token that the configuration fixes. There is one at a time. */
const FIXED_TOKEN_NAME = 'configured admin token';
const FIXED_TOKEN_LENGTH_MIN = 8;
const FIXED_TOKEN_LENGTH_MAX = 512;

export type CreatedToken = TokenRecord & { readonly token: string };

export interface TokensAdmin {
  /** A token with which one annotator works. */
  createForAnnotator(args: {
    annotatorId: AnnotatorId;
    name: string;
    expiresAt?: Date | undefined;
    actor: Actor;
  }): Promise<Result<CreatedToken>>;
  /** A key of a supervisor or an admin. */
  createKey(args: {
    role: Exclude<TokenRole, 'annotator'>;
    name: string;
    expiresAt?: Date | undefined;
    actor: Actor;
  }): Promise<Result<CreatedToken>>;
  /** An annotator's tokens, or with null the keys. */
  list(owner: AnnotatorId | null, page: Page): Promise<Result<TokenRecord[]>>;
  revoke(args: { owner: AnnotatorId | null; id: number; actor: Actor }): Promise<Result<{ revoked: true }>>;
  /** The token if it is valid now. Compares hashes only. */
  find(token: string): Promise<ValidToken | undefined>;
  /** Calls back with the token's id after each revocation by this process, also when its outcome is not known. */
  onRevoked(listener: (tokenId: number) => void): () => void;
  /**
   * Makes sure that this very token is a valid admin's, and that one fixed earlier no longer is.
   *
   * @throws RangeError for a token of fewer than 8 or more than 512 characters, or with spaces or control characters.
   */
  ensureAdminToken(token: string): Promise<Result<TokenRecord>>;
}

export function createTokensAdmin(context: AdminContext): TokensAdmin {
  const listeners = new Set<(tokenId: number) => void>();
  const tellRevoked = (tokenId: number): void => {
    for (const listener of listeners) listener(tokenId);
  };
  const lookup = new TokenLookup(context.db);
  return {
    createForAnnotator: ({ annotatorId, ...args }) =>
      create(context, { ...args, role: 'annotator', annotatorId }),
    createKey: (args) => create(context, { ...args, annotatorId: null }),
    list: (owner, page) =>
      read(context, async (tx) => {
        if (owner !== null && (await readAnnotator(tx, owner)) === undefined) return noAnnotator(owner);
        return ok(await listTokens(tx, owner, page));
      }),
    async revoke({ owner, id, actor }) {
      try {
        return await write(context, async (tx) => {
          if (!(await revokeToken(tx, owner, id)))
            return refuse('not_found', `There is no token ${id} here.`);
          await insertAudit(tx, { actor, action: 'token.revoke', subject: String(id) });
          return ok({ revoked: true as const });
        });
      } finally {
        tellRevoked(id);
      }
    },
    find: (token) => lookup.find(hashToken(token)),
    onRevoked(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async ensureAdminToken(token) {
      const { installed, replaced } = await ensureAdminToken(context, token);
      for (const id of replaced) tellRevoked(id);
      return installed;
    },
  };
}

async function create(
  context: AdminContext,
  args: {
    role: TokenRole;
    annotatorId: AnnotatorId | null;
    name: string;
    expiresAt?: Date | undefined;
    actor: Actor;
  },
): Promise<Result<CreatedToken>> {
  const token = makeToken();
  return write(context, async (tx) => {
    if (args.annotatorId !== null && (await readAnnotator(tx, args.annotatorId)) === undefined) {
      return noAnnotator(args.annotatorId);
    }
    const made = await insertToken(tx, {
      hash: hashToken(token),
      prefix: prefixOf(token),
      name: args.name,
      role: args.role,
      annotatorId: args.annotatorId,
      expiresAt: args.expiresAt ?? null,
    });
    if (made === undefined) throw new Error('two random tokens are the same');
    await insertAudit(tx, {
      actor: args.actor,
      action: 'token.create',
      subject: String(made.id),
      detail: { role: args.role, annotator: args.annotatorId },
    });
    return ok({ ...made, token });
  });
}

/** @returns also the ids of those that were fixed earlier and are valid no more. */
async function ensureAdminToken(
  context: AdminContext,
  token: string,
): Promise<{ installed: Result<TokenRecord>; replaced: number[] }> {
  const fits = token.length >= FIXED_TOKEN_LENGTH_MIN && token.length <= FIXED_TOKEN_LENGTH_MAX;
  if (!fits || !/^[\x21-\x7e]+$/.test(token)) {
    throw new RangeError('the admin token must be 8 to 512 printable ASCII characters without spaces');
  }
  return write(context, async (tx) => {
    const replaced = await revokeTokensNamed(tx, FIXED_TOKEN_NAME, hashToken(token));
    return { installed: await installAdminToken(tx, token), replaced };
  });
}

async function installAdminToken(tx: Transaction, token: string): Promise<Result<TokenRecord>> {
  const hash = hashToken(token);
  const made = await insertToken(tx, {
    hash,
    prefix: prefixOf(token),
    name: FIXED_TOKEN_NAME,
    role: 'admin',
    annotatorId: null,
    expiresAt: null,
  });
  if (made !== undefined) {
    await insertAudit(tx, { actor: 'system', action: 'token.create', subject: String(made.id) });
    return ok(made);
  }
  const present = await readTokenByHash(tx, hash);
  if (present === undefined || present.role !== 'admin') {
    return refuse('conflict', 'The configured admin token is already the token of somebody who is no admin.');
  }
  await restoreToken(tx, present.id);
  return ok(present);
}
