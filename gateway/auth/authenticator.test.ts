import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Admin, TokenRecord } from '../../engine/admin/index.ts';
import { type AnnotatorId, asId } from '../../engine/ids.ts';
import { createAuthenticator } from './authenticator.ts';
import type { Authenticator } from './principal.ts';

type Found = Awaited<ReturnType<Admin['tokens']['find']>>;

/** Tokens by hand. `reads` names every token that was read, in order. */
class Tokens {
  readonly valid = new Map<string, NonNullable<Found>>();
  readonly reads: string[] = [];
  answer: (token: string) => Promise<Found> = async (token) => this.valid.get(token);
  tellRevoked: (tokenId: number) => void = () => undefined;

  add(token: string, id: number, expiresInMs: number | null = null): void {
    const record: TokenRecord = {
      id,
      name: token,
      role: 'annotator',
      prefix: '',
      annotatorId: asId<AnnotatorId>(id),
      createdAt: new Date(0),
      expiresAt: null,
      revokedAt: null,
    };
    this.valid.set(token, { record, hash: Buffer.from(token), expiresInMs });
  }

  find = (token: string): Promise<Found> => {
    this.reads.push(token);
    return this.answer(token);
  };

  onRevoked = (listener: (tokenId: number) => void): (() => void) => {
    this.tellRevoked = listener;
    return () => undefined;
  };
}

const ANN = 'token-of-ann';
const BOB = 'token-of-bob';
let tokens: Tokens;
let authenticator: Authenticator;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
  tokens = new Tokens();
  tokens.add(ANN, 1);
  tokens.add(BOB, 2);
  authenticator = createAuthenticator({ admin: { tokens } });
});
afterEach(() => {
  vi.useRealTimers();
});

test('an answer serves for five seconds, then the token is read again', async () => {
  await authenticator.authenticate(ANN);
  await vi.advanceTimersByTimeAsync(2_499);
  expect(await authenticator.authenticate(ANN)).toMatchObject({ tokenId: 1, actor: 'annotator:1' });
  expect(tokens.reads).toEqual([ANN]);
  tokens.valid.delete(ANN);
  await vi.advanceTimersByTimeAsync(2_501);
  expect(await authenticator.authenticate(ANN)).toBeUndefined();
  expect(tokens.reads).toEqual([ANN, ANN]);
});

test('tokens in use are read again together before their time is over, so nobody waits', async () => {
  await Promise.all([ANN, BOB].map((token) => authenticator.authenticate(token)));
  await vi.advanceTimersByTimeAsync(2_500);
  for (let i = 0; i < 9; i++) await authenticator.authenticate(ANN);
  await vi.advanceTimersByTimeAsync(500);
  await authenticator.authenticate(BOB);
  expect(tokens.reads.length).toBe(2);
  await vi.advanceTimersByTimeAsync(500);
  expect(tokens.reads.slice(2)).toEqual([ANN, BOB]);
  await vi.advanceTimersByTimeAsync(2_000);
  await authenticator.authenticate(ANN);
  expect(tokens.reads.length).toBe(4);
});

test('who is idle costs nothing', async () => {
  await authenticator.authenticate(ANN);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(tokens.reads).toEqual([ANN]);
});

test('a token that failed to be read in the background fails for whoever asks when its time is over', async () => {
  await authenticator.authenticate(ANN);
  tokens.answer = async () => {
    throw new Error('away');
  };
  await vi.advanceTimersByTimeAsync(2_500);
  await authenticator.authenticate(ANN);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await authenticator.authenticate(ANN)).toMatchObject({ tokenId: 1 });
  await vi.advanceTimersByTimeAsync(1_500);
  await expect(authenticator.authenticate(ANN)).rejects.toThrow('away');
});

test('a token is good to the millisecond of its end', async () => {
  tokens.add(ANN, 1, 700);
  expect(await authenticator.authenticate(ANN)).toMatchObject({ tokenId: 1 });
  tokens.valid.delete(ANN);
  await vi.advanceTimersByTimeAsync(699);
  expect(await authenticator.authenticate(ANN)).toMatchObject({ tokenId: 1 });
  await vi.advanceTimersByTimeAsync(1);
  expect(await authenticator.authenticate(ANN)).toBeUndefined();
});

test('a revocation is seen at once, is told on, and costs the others nothing', async () => {
  await Promise.all([ANN, BOB].map((token) => authenticator.authenticate(token)));
  const told: number[] = [];
  authenticator.onRevoked((tokenId) => told.push(tokenId));
  tokens.valid.delete(ANN);
  tokens.tellRevoked(1);
  expect(told).toEqual([1]);
  expect(await authenticator.authenticate(ANN)).toBeUndefined();
  expect(await authenticator.authenticate(BOB)).toMatchObject({ tokenId: 2 });
  expect(tokens.reads).toEqual([ANN, BOB, ANN]);
});

test('what was read before a revocation is neither remembered nor shared after it', async () => {
  let arrive: (found: Found) => void = () => undefined;
  tokens.answer = () =>
    new Promise((resolve) => {
      arrive = resolve;
    });
  const before = authenticator.authenticate(ANN);
  const found = tokens.valid.get(ANN);
  tokens.tellRevoked(1);
  tokens.answer = async () => undefined;
  expect(await authenticator.authenticate(ANN)).toBeUndefined();
  arrive(found);
  await before;
  expect(await authenticator.authenticate(ANN)).toBeUndefined();
});

test('those who ask for one token at the same time share one look; unknown tokens are not remembered', async () => {
  await Promise.all([1, 2, 3].map(() => authenticator.authenticate(ANN)));
  expect(tokens.reads).toEqual([ANN]);
  expect(await authenticator.authenticate('unknown-token')).toBeUndefined();
  expect(await authenticator.authenticate('unknown-token')).toBeUndefined();
  expect(tokens.reads.length).toBe(3);
});

test('what cannot be a token costs no look', async () => {
  for (const token of ['', 'short', 'with a space in it', 'x'.repeat(513)]) {
    expect(await authenticator.authenticate(token)).toBeUndefined();
  }
  expect(tokens.reads).toEqual([]);
});
