import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { BusError, RedisBus } from '../../engine/bus/redis-bus.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { type BusBench, busConformance, opened, reaches } from './conformance.ts';

let redis: TestRedis;
let made: RedisBus[] = [];
const clusters = new Map<string, string>();

const bench: BusBench = {
  bus: (cluster = 'one') => busOn(redis.url, clusterId(cluster)),
  async publish(to, text) {
    await redis.command('SPUBLISH', `baton:{${clusterId('one')}}:${to.address}`, text);
  },
  takeAway: () => redis.stop(),
  bringBack: () => redis.start(),
};

function clusterId(name: string): string {
  const id = clusters.get(name) ?? randomUUID();
  clusters.set(name, id);
  return id;
}

function busOn(url: string, cluster: string): { bus: RedisBus; errors: unknown[] } {
  const errors: unknown[] = [];
  const isOurs = (error: unknown) => error instanceof Error && error.message === 'broken receiver';
  const onError = (error: unknown) => {
    if (isOurs(error)) errors.push(error);
  };
  const bus = new RedisBus({ url, clusterId: cluster, address: randomUUID(), onError });
  made.push(bus);
  return { bus, errors };
}

beforeAll(async () => {
  redis = await startTestRedis();
});

afterEach(async () => {
  for (const bus of made) await bus.close();
  made = [];
  clusters.clear();
});

afterAll(async () => {
  await redis.stop();
});

describe('over Redis', () => busConformance(() => bench));

test('killed connections come back with their sharded subscriptions', async () => {
  const [a, b] = [await opened(bench), await opened(bench)];
  for (const type of ['pubsub', 'normal']) {
    await redis.command('CLIENT', 'KILL', 'TYPE', type);
    await reaches(a.bus, b, `after ${type}`);
    await reaches(b.bus, a, `back after ${type}`);
  }
}, 40_000);

test('each message comes once, also after the connection was lost', async () => {
  const [a, b] = [await opened(bench), await opened(bench)];
  await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await reaches(a.bus, b, 'back');
  a.bus.send(b.bus.address, { once: 1 });
  await reaches(a.bus, b, 'behind it');
  expect(b.messages.filter(({ payload }) => JSON.stringify(payload).includes('once'))).toHaveLength(1);
}, 40_000);

test('a Redis that stands still is noticed, and used again when it goes on', async () => {
  const [a, b] = [await opened(bench), await opened(bench)];
  redis.signal('SIGSTOP');
  try {
    await vi.waitFor(() => expect(a.bus.isUp).toBe(false), { timeout: 20_000 });
  } finally {
    redis.signal('SIGCONT');
  }
  await reaches(a.bus, b, 'goes on');
}, 60_000);

test('a pause of the clients delays and loses nothing that was taken', async () => {
  const [a, b] = [await opened(bench), await opened(bench)];
  await redis.command('CLIENT', 'PAUSE', '300', 'ALL');
  a.bus.send(b.bus.address, { paused: 1 });
  await vi.waitFor(() => expect(b.messages).toHaveLength(1), { timeout: 10_000 });
});

test('what makes it unusable is said when it is opened', async () => {
  await redis.command('ACL', 'SETUSER', 'mute', 'on', '>secret', '~*', '+@all', '-@pubsub', 'resetchannels');
  const refusal = (url: string) =>
    busOn(url, 'one')
      .bus.open(() => undefined)
      .then(
        () => 'opened',
        (error: unknown) => (error instanceof BusError ? error.code : String(error)),
      );
  expect(await refusal(`redis://mute:secret@127.0.0.1:${redis.port}`)).toBe('no_rights');
  expect(await refusal(`redis://mute:wrong@127.0.0.1:${redis.port}`)).toBe('no_rights');
  expect(await refusal('redis://127.0.0.1:1')).toBe('unreachable');
  const old = await startTestRedis([
    '--rename-command',
    'SSUBSCRIBE',
    '',
    '--rename-command',
    'SPUBLISH',
    '',
  ]);
  expect(await refusal(old.url)).toBe('too_old');
  await old.stop();
});
