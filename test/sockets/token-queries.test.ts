import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Admin, createAdmin } from '../../engine/admin/index.ts';
import { type AnnotatorId, asId } from '../../engine/ids.ts';
import { type Database, openDatabase } from '../../engine/index.ts';
import { createAuthenticator } from '../../gateway/auth/authenticator.ts';
import type { Authenticator } from '../../gateway/auth/principal.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type GatewayUnderTest, next, startGateway, stateOf } from './gateway-under-test.ts';
import { ScriptedEngine } from './scripted-engine.ts';

/** What the checks of tokens cost: they must never be what keeps the database busy. */

let database: TestDatabase;
let db: Database;
let admin: Admin;
let queries: string[];
let nowMs: number;
let looks: number;
let authenticator: Authenticator;
let server: GatewayUnderTest;

beforeEach(async () => {
  database = await createTestDatabase();
  db = openDatabase({ url: database.url, poolMax: 4, applicationName: 'token queries' });
  admin = createAdmin({ db, engine: new ScriptedEngine() });
  queries = [];
  db.on('query', ({ sql }: { sql: string }) => queries.push(sql));
  nowMs = 0;
  looks = 0;
  const real = createAuthenticator({ admin, nowMs: () => nowMs });
  authenticator = {
    authenticate: (token) => {
      looks += 1;
      return real.authenticate(token);
    },
    forget: (tokenId) => real.forget(tokenId),
    onRevoked: (listener) => real.onRevoked(listener),
  };
  server = await startGateway({ authenticator, config: { tokenSweepMs: 10 } });
});

afterEach(async () => {
  await server.close();
  await db.destroy();
  await database.drop();
});

async function makeTokens(count: number): Promise<{ annotatorId: AnnotatorId; token: string }[]> {
  const names = Array.from({ length: count }, (_, n) => ({ external_id: `a${n}`, name: `a${n}` }));
  const rows: { id: number }[] = await db('annotators').insert(names).returning('id');
  const made = rows.map(async ({ id }) => {
    const annotatorId = asId<AnnotatorId>(id);
    const created = await admin.tokens.createForAnnotator({ annotatorId, name: 'work', actor: 'test' });
    if (!created.ok) throw new Error(created.message);
    return { annotatorId, token: created.value.token };
  });
  const all = await Promise.all(made);
  queries.length = 0;
  return all;
}

test('200 tokens in one turn of the event loop are one query without a transaction, and then none', async () => {
  const people = await makeTokens(200);
  const found = await Promise.all(people.map(({ token }) => authenticator.authenticate(token)));
  expect(found.map((principal) => principal?.annotatorId)).toEqual(people.map((one) => one.annotatorId));
  expect(queries).toEqual([expect.stringContaining('from tokens')]);
  await Promise.all(people.map(({ token }) => authenticator.authenticate(token)));
  expect(queries.length).toBe(1);
});

test('more tokens than one query takes are as many queries as it needs', async () => {
  const [one] = await makeTokens(1);
  const tokens = [...Array.from({ length: 1_500 }, (_, n) => `unknown-token-${n}`), one?.token ?? ''];
  const found = await Promise.all(tokens.map((token) => authenticator.authenticate(token)));
  expect(found.filter((principal) => principal !== undefined).length).toBe(1);
  expect(queries.length).toBe(2);
});

test('tokens that are asked for while queries are under way share the one that follows', async () => {
  const people = await makeTokens(60);
  const other = openDatabase({ url: database.url, poolMax: 1, applicationName: 'lock' });
  const found: Promise<unknown>[] = [];
  // As slow as the test needs it: no query is answered while the table is locked.
  await other.transaction(async (tx) => {
    await tx.raw('lock table tokens in access exclusive mode');
    for (const { token } of people) {
      found.push(authenticator.authenticate(token));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  });
  await Promise.all(found);
  await other.destroy();
  expect(queries.length).toBe(3);
});

test('connections that only listen are looked at together, and only when the last answer is old', async () => {
  const people = await makeTokens(30);
  const sockets = people.map(({ token }) => server.plain(token));
  await Promise.all(sockets.map(stateOf));
  queries.length = 0;
  const sweepsAfter = async (count: number) => {
    const until = looks + count * sockets.length;
    await vi.waitFor(() => expect(looks).toBeGreaterThanOrEqual(until));
  };
  nowMs = 2_000;
  await sweepsAfter(3);
  expect(queries).toEqual([]);
  nowMs = 5_000;
  await sweepsAfter(3);
  expect(queries.length).toBe(1);

  // As another process does it: this one hears nothing of it.
  const gone = next(sockets[7] ?? fail(), 'session:closed');
  await db('tokens').where({ annotator_id: people[7]?.annotatorId }).update({ revoked_at: db.fn.now() });
  nowMs = 10_000;
  expect(await gone).toMatchObject({ error: { code: 'unauthorized' } });
  expect(server.gateway.connections()).toBe(29);
});

test('a token that expires is good until then and not longer, whatever is remembered of it', async () => {
  const [one] = await makeTokens(1);
  const token = one?.token ?? fail();
  await db('tokens').update({ expires_at: db.raw(`now() + interval '4 seconds'`) });
  expect(await authenticator.authenticate(token)).toMatchObject({ role: 'annotator' });
  queries.length = 0;
  nowMs = 1_000;
  expect(await authenticator.authenticate(token)).toMatchObject({ role: 'annotator' });
  expect(queries).toEqual([]);
  await db('tokens').update({ expires_at: db.fn.now() });
  nowMs = 4_000;
  expect(await authenticator.authenticate(token)).toBeUndefined();
});

function fail(): never {
  throw new Error('there should be one');
}
