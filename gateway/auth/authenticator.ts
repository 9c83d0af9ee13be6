import { createHash, timingSafeEqual } from 'node:crypto';
import type { Admin, TokenRecord } from '../../engine/admin/index.ts';
import type { Authenticator, Principal } from './principal.ts';

const CACHE_AGE_MS = 1_000;
const CACHE_SIZE_MAX = 10_000;
/** Longer than any token: what cannot be one costs no query. */
const TOKEN_SHAPE = /^[\x21-\x7e]{8,512}$/;

interface Cached {
  readonly principal: Principal;
  readonly atMs: number;
}

/**
 * Knows tokens by their hashes and remembers valid ones for at most a second. A revocation by this process clears
 * the memory at once; one by another process is seen when the second is over. Unknown tokens are not remembered:
 * a flood of them must not push the others out.
 *
 * @param nowMs a monotonic clock.
 */
export function createAuthenticator(args: {
  admin: Pick<Admin, 'tokens'>;
  nowMs?: () => number;
}): Authenticator {
  const { tokens } = args.admin;
  const nowMs = args.nowMs ?? (() => performance.now());
  const cache = new Map<string, Cached>();
  const inFlight = new Map<string, Promise<Principal | undefined>>();
  let generation = 0;
  tokens.onRevoked(() => {
    generation++;
    cache.clear();
    inFlight.clear();
  });

  async function lookUp(token: string, hash: Buffer, key: string): Promise<Principal | undefined> {
    const startedAtMs = nowMs();
    const startedIn = generation;
    const found = await tokens.find(token);
    // The index has compared the hashes already; this comparison does not depend on where they differ.
    if (found === undefined || !timingSafeEqual(found.hash, hash)) return undefined;
    const principal = principalOf(found.record);
    // What was read before a revocation may be stale.
    if (startedIn === generation) remember(key, { principal, atMs: startedAtMs });
    return principal;
  }

  function remember(key: string, entry: Cached): void {
    cache.delete(key);
    cache.set(key, entry);
    for (const oldest of cache.keys()) {
      if (cache.size <= CACHE_SIZE_MAX) break;
      cache.delete(oldest);
    }
  }

  return {
    async authenticate(token) {
      if (!TOKEN_SHAPE.test(token)) return undefined;
      const hash = createHash('sha256').update(token, 'utf8').digest();
      const key = hash.toString('base64');
      const cached = cache.get(key);
      if (cached !== undefined && nowMs() - cached.atMs <= CACHE_AGE_MS) return cached.principal;
      const running = inFlight.get(key);
      if (running !== undefined) return running;
      const look = lookUp(token, hash, key).finally(() => {
        if (inFlight.get(key) === look) inFlight.delete(key);
      });
      inFlight.set(key, look);
      return look;
    },
  };
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
