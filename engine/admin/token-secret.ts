import { createHash, randomBytes } from 'node:crypto';

const MARK = 'bt_';
const SECRET_BYTES = 32;
const PREFIX_LENGTH = 8;

/** A new token: 256 random bits, marked so that scanners for leaked secrets can find it. */
export function makeToken(): string {
  return MARK + randomBytes(SECRET_BYTES).toString('base64url');
}

/** What is stored. The secret has full entropy, so a fast hash is enough: there is nothing to guess. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

/** The first characters, kept to tell tokens apart; never more than a quarter of a token that a person chose. */
export function prefixOf(token: string): string {
  const isOurs = token.startsWith(MARK);
  return token.slice(0, isOurs ? PREFIX_LENGTH : Math.min(PREFIX_LENGTH, Math.floor(token.length / 4)));
}
