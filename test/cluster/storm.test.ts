import { afterAll, beforeAll, expect, test } from 'vitest';
import { openFilesMax } from '../../bench/storm/open-files.ts';
import { runStorm } from '../../bench/storm/storm.ts';
import { openDatabase } from '../../engine/index.ts';
import { violations } from '../engine/invariants.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

/** `npm run bench -- cluster` does it with 5,000. */
const ANNOTATORS = 2_000;
/** Each has a socket in the clients' process, and one in the gateway's. */
const FILES_WANTED = ANNOTATORS + 500;

let database: TestDatabase;
let redis: TestRedis;

beforeAll(async () => {
  [database, redis] = await Promise.all([createTestDatabase(), startTestRedis()]);
});
afterAll(async () => {
  await redis.stop();
  await database.drop();
});

test.skipIf(openFilesMax() < FILES_WANTED)(
  `a gateway is killed under ${ANNOTATORS} annotators: all are back with lease and draft, and no lease ends (needs ulimit -n ${FILES_WANTED})`,
  async () => {
    const report = await runStorm({
      databaseUrl: database.url,
      redisUrl: redis.url,
      annotators: ANNOTATORS,
      manners: 'together',
      calmMs: 1_000,
      stormMs: 4_000,
      waitsOutGraces: true,
      say: () => undefined,
    });
    expect(report).toMatchObject({
      back: { count: ANNOTATORS },
      lostLeases: 0,
      lostDrafts: 0,
      endedLeases: 0,
      alive: ANNOTATORS,
    });
    // Whoever was refused was told so, and when to come back.
    expect(Object.keys(report.refusals).filter((why) => why !== 'busy')).toEqual([]);
    const db = openDatabase({ url: database.url, poolMax: 2, applicationName: 'test' });
    try {
      expect(await violations(db)).toEqual([]);
    } finally {
      await db.destroy();
    }
  },
  180_000,
);
