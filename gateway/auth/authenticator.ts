import { createHash } from 'node:crypto';
import type { Admin, TokenRecord } from '../../engine/admin/index.ts';
import type { Authenticator, Principal } from './principal.ts';

/** How old an answer may be. */
const AGE_MAX_MS = 5_000;
/** What is used at this age is read again while its users go on. */
const REFRESH_AGE_MS = 2_500;
/** Tokens that are to be read again wait this long for others: at most so many queries, however many tokens. */
const REFRESH_GATHER_MS = 1_000;
const CACHE_SIZE_MAX = 10_000;
/** Longer than any token: what cannot be one costs no query. */
const TOKEN_SHAPE = /^[\x21-\x7e]{8,512}$/;

type TokenSource = Pick<Admin['tokens'], 'find' | 'onRevoked'>;

interface Cached {
  readonly principal: Principal;
  readonly readAtMs: number;
  /** The end of its age or of the token, whichever is first. */
  readonly goodUntilMs: number;
}

/**
 * Knows tokens by their hashes and remembers valid ones for five seconds, but no longer than they are valid. A revocation
 * by this process is seen at once; one by another process when it is told (`forget`), or else when the five seconds are over. A token in steady use
 * is read again before that, together with the others that are, so nobody waits for it. Unknown tokens are not
 * remembered: a flood of them must not push the others out.
 *
 * @param nowMs a monotonic clock.
 */
export function createAuthenticator(args: {
  admin: { readonly tokens: TokenSource };
  nowMs?: () => number;
}): Authenticator {
  return new CachingAuthenticator(args.admin.tokens, args.nowMs ?? (() => performance.now()));
}

class CachingAuthenticator implements Authenticator {
  private readonly tokens: TokenSource;
  private readonly nowMs: () => number;
  private readonly cache = new Map<string, Cached>();
  private readonly inFlight = new Map<string, Promise<Principal | undefined>>();
  private readonly toRefresh = new Map<string, string>();
  private readonly listeners = new Set<(tokenId: number) => void>();
  private revocations = 0;

  constructor(tokens: TokenSource, nowMs: () => number) {
    this.tokens = tokens;
    this.nowMs = nowMs;
    tokens.onRevoked((tokenId) => {
      this.forget(tokenId);
      for (const listener of this.listeners) listener(tokenId);
    });
  }

  async authenticate(token: string): Promise<Principal | undefined> {
    if (!TOKEN_SHAPE.test(token)) return undefined;
    const key = createHash('sha256').update(token, 'utf8').digest('base64');
    const cached = this.cache.get(key);
    const nowMs = this.nowMs();
    if (cached === undefined || nowMs >= cached.goodUntilMs) return this.lookUp(key, token);
    if (nowMs - cached.readAtMs >= REFRESH_AGE_MS) this.refreshSoon(key, token);
    return cached.principal;
  }

  onRevoked(listener: (tokenId: number) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  forget(tokenId: number): void {
    this.revocations++;
    this.inFlight.clear();
    for (const [key, { principal }] of this.cache) {
      if (principal.tokenId === tokenId) this.cache.delete(key);
    }
  }

  private refreshSoon(key: string, token: string): void {
    if (this.toRefresh.size === 0) setTimeout(() => this.refresh(), REFRESH_GATHER_MS).unref();
    if (this.toRefresh.size < CACHE_SIZE_MAX) this.toRefresh.set(key, token);
  }

  private refresh(): void {
    const due = [...this.toRefresh];
    this.toRefresh.clear();
    for (const [key, token] of due) {
      // Nobody waits for this answer: whoever asks when the old one is over asks again, and hears of the failure.
      this.lookUp(key, token).catch(() => undefined);
    }
  }

  private lookUp(key: string, token: string): Promise<Principal | undefined> {
    const running = this.inFlight.get(key);
    if (running !== undefined) return running;
    const look = this.read(key, token).finally(() => {
      if (this.inFlight.get(key) === look) this.inFlight.delete(key);
    });
    this.inFlight.set(key, look);
    return look;
  }

  private async read(key: string, token: string): Promise<Principal | undefined> {
    const readAtMs = this.nowMs();
    const { revocations } = this;
    const found = await this.tokens.find(token);
    // What was read before a revocation may be stale.
    const isFresh = revocations === this.revocations;
    if (found === undefined) {
      if (isFresh) this.cache.delete(key);
      return undefined;
    }
    const principal = principalOf(found.record);
    const lastsMs = Math.min(AGE_MAX_MS, found.expiresInMs ?? AGE_MAX_MS);
    if (isFresh) this.remember(key, { principal, readAtMs, goodUntilMs: readAtMs + lastsMs });
    return principal;
  }

  private remember(key: string, entry: Cached): void {
    this.cache.delete(key);
    this.cache.set(key, entry);
    for (const oldest of this.cache.keys()) {
      if (this.cache.size <= CACHE_SIZE_MAX) break;
      this.cache.delete(oldest);
    }
  }
}

function principalOf(record: TokenRecord): Principal {
  return {
    tokenId: record.id,
    role: record.role,
    annotatorId: record.annotatorId,
    actor:
      record.annotatorId === null ? `${record.role}:token:${record.id}` : `annotator:${record.annotatorId}`,
  };
}
