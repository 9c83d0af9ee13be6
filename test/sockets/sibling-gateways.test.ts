import { randomUUID } from 'node:crypto';
import { createShardedAdapter } from '@socket.io/redis-adapter';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FanOutRedis } from '../../engine/bus/fan-out-redis.ts';
import type { AnnotatorId } from '../../engine/ids.ts';
import { asId } from '../../engine/ids.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { type GatewayUnderTest, next, startGateway, stateOf } from './gateway-under-test.ts';

const CAROL = asId<AnnotatorId>(3);

let redis: TestRedis;
let fanOuts: FanOutRedis[] = [];
let gateways: GatewayUnderTest[] = [];
const clusterId = randomUUID();

/** A gateway whose tokens are looked at only when somebody says so. */
async function sibling(): Promise<GatewayUnderTest> {
  const fanOut = new FanOutRedis({ url: redis.url, clusterId, onError: () => undefined });
  await fanOut.open();
  fanOuts.push(fanOut);
  const adapter = createShardedAdapter(fanOut, fanOut, fanOut.adapterOptions);
  const gateway = await startGateway({ adapter, config: { tokenSweepMs: 600_000 } });
  gateways.push(gateway);
  return gateway;
}

/** Somebody is at one gateway, their token is revoked at the other. @returns what they hear. */
async function revokedElsewhere(here: GatewayUnderTest, there: GatewayUnderTest): Promise<unknown> {
  const token = `token-${randomUUID()}`;
  for (const { tokens } of [here, there]) tokens.add(token, CAROL);
  const socket = here.plain(token);
  await stateOf(socket);
  const closed = next<{ error: { code: string } }>(socket, 'session:closed');
  here.tokens.tokens.delete(token);
  there.tokens.revoke(token);
  return (await closed).error.code;
}

beforeEach(async () => {
  redis = await startTestRedis();
});

afterEach(async () => {
  for (const gateway of gateways) await gateway.close();
  for (const fanOut of fanOuts) await fanOut.close();
  gateways = [];
  fanOuts = [];
  await redis.stop();
});

test('a token that is revoked at one gateway ends its connections at the others, at once', async () => {
  const [a, b] = [await sibling(), await sibling()];
  expect(await revokedElsewhere(a, b)).toBe('unauthorized');
  expect(await revokedElsewhere(b, a)).toBe('unauthorized');
});

test('after Redis was restarted, or its connections were killed, the sharded subscriptions are back', async () => {
  const [a, b] = [await sibling(), await sibling()];
  await redis.stop();
  await redis.start();
  const channels = async () =>
    redis.command('PUBSUB', 'SHARDCHANNELS', `baton:{${clusterId}}:io#/annotator#`);
  await vi.waitFor(async () => expect(await channels()).toHaveLength(1), { timeout: 10_000 });
  await vi.waitFor(
    async () =>
      expect(await redis.command('PUBSUB', 'SHARDNUMSUB', `baton:{${clusterId}}:io#/annotator#`)).toContain(
        2,
      ),
    { timeout: 10_000 },
  );
  expect(await revokedElsewhere(a, b)).toBe('unauthorized');
  await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await vi.waitFor(
    async () =>
      expect(await redis.command('PUBSUB', 'SHARDNUMSUB', `baton:{${clusterId}}:io#/annotator#`)).toContain(
        2,
      ),
    { timeout: 10_000 },
  );
  expect(await revokedElsewhere(b, a)).toBe('unauthorized');
}, 40_000);

test('without Redis a gateway goes on by itself', async () => {
  const a = await sibling();
  await redis.stop();
  const socket = a.plain('anna');
  await stateOf(socket);
  const closed = next<{ error: { code: string } }>(socket, 'session:closed');
  a.tokens.revoke('anna');
  expect((await closed).error.code).toBe('unauthorized');
  await redis.start();
}, 20_000);

test('what is published into its channels and makes no sense harms nobody', async () => {
  const [a, b] = [await sibling(), await sibling()];
  const channel = `baton:{${clusterId}}:io#/annotator#`;
  const from = { uid: 'stranger', nsp: '/annotator' };
  const nonsense = ['', 'null', '{', '[]', '{"uid":1}'];
  const wrong = [{ type: 3 }, { type: 3, data: { packet: null } }, { type: 9, data: null }, { type: 99 }];
  const texts = [...nonsense, ...wrong.map((message) => JSON.stringify({ ...from, ...message }))];
  for (const text of texts) await redis.command('SPUBLISH', channel, text);
  const lie = { ...from, type: 9, data: { packet: ['token:revoked', { a: 1 }] } };
  await redis.command('SPUBLISH', channel, JSON.stringify(lie));
  expect(await revokedElsewhere(a, b)).toBe('unauthorized');
  expect(fanOuts.some((fanOut) => fanOut.counts.malformed > 0)).toBe(true);
});
