import { readFileSync, rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { openDataDirectory } from '../../app/data-directory.ts';
import { startEmbeddedPostgres } from '../../app/postgres/index.ts';
import { type RemoteApi, remoteApi } from '../../app/remote/api.ts';
import { type CrewMember, readExternalIds, signUp } from '../../app/simulate/crew.ts';
import { recordingOf } from '../../app/simulate/replay.ts';
import { shapeResult } from '../../app/simulate/results.ts';
import type { JsonValue } from '../../client/index.ts';
import { annotation, importAnswer, project, projectStats } from '../../protocol/api/index.ts';
import { temporaryDirectory } from '../support/cluster.ts';
import { CuttableProxy } from './cuttable-proxy.ts';
import { violations } from './database-checks.ts';
import { EventFollower } from './event-follower.ts';
import { Judge, type Mishap } from './judge.ts';
import { KillableServer } from './killable-server.ts';

/**
 * The whole of Baton on real input: 1,000 real judgments of 50 tasks by 28 people, 20 for each task, replayed over real
 * sockets while nearly everything goes wrong that can. What is exported must be the source's judgments, exactly.
 */
const SAMPLE = new URL('../../samples/video-person/', import.meta.url);
const TIMEOUT_MS = 90_000;
const SLUG = 'replayed';

/** Short lives for leases, so that the ends of them are part of the test. */
const LEASE_SETTINGS = {
  heartbeatMs: 4_000,
  reconnectGraceMs: 400,
  maxDurationMs: 6_000,
  maxAttempts: 1_000,
  // A late answer is refused and kept as a draft, so that each answer that counts was given under a live lease.
  lateSubmit: 'refuse',
};

/** Of every hundred judgments, by their place in the source, these meet with something. */
const MISHAPS: ReadonlyMap<number, Mishap> = new Map([
  [7, 'expire'],
  [13, 'abandon'],
  [57, 'abandon'],
  [20, 'reopen'],
  [40, 'reopen'],
  [60, 'reopen'],
  [30, 'release'],
  [80, 'release'],
  [11, 'repeat'],
  [33, 'repeat'],
  [66, 'repeat'],
  [91, 'repeat'],
]);

const recording = recordingOf(readFileSync(new URL('annotations.jsonl', SAMPLE), 'utf8'));
const sample = z
  .object({ settings: z.object({ overlap: z.number(), resultSchema: z.unknown() }).loose() })
  .parse(JSON.parse(readFileSync(new URL('project.json', SAMPLE), 'utf8')));
const tasks = readFileSync(new URL('tasks.jsonl', SAMPLE), 'utf8');

let directory: string;
let server: KillableServer;
let proxy: CuttableProxy;
let api: RemoteApi;

beforeAll(async () => {
  directory = temporaryDirectory();
  server = await KillableServer.start(directory);
  proxy = await CuttableProxy.start(Number(new URL(server.url).port));
  api = remoteApi({ url: server.url, token: server.adminToken });
});

afterAll(async () => {
  await proxy?.stop();
  await server?.clear();
  rmSync(directory, { recursive: true, force: true });
});

test(
  'replayed judgments come out exactly as they went in, through drops, expiries, repeats and kill -9',
  async () => {
    await api.call('POST', '/api/projects', project, {
      slug: SLUG,
      settings: { ...sample.settings, ...LEASE_SETTINGS },
    });
    const imported = await importTasks();
    expect(imported).toMatchObject({ created: 50, duplicates: 0, rejectedCount: 0 });
    expect(await importTasks()).toMatchObject({ created: 0, duplicates: 50, rejectedCount: 0 });

    const feed = new EventFollower(api, SLUG, () => server.untilUp());
    feed.start();
    const disasters = new Disasters();
    const judges = await makeJudges(feed, () => disasters.submitted());
    await workToTheEnd(judges, disasters);

    expect(judges.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(new Set(judges.flatMap(({ met }) => met))).toEqual(new Set(MISHAPS.values()));
    expect(disasters.done).toEqual(['cut', 'kill', 'cut', 'kill with Postgres', 'cut']);

    const exported = await readExport();
    expect(exported.map(keyOf).sort()).toEqual(sourceKeys());
    expect(exported.every(({ counted }) => counted)).toBe(true);
    const stats = await api.call('GET', `/api/projects/${SLUG}/stats`, projectStats);
    expect(stats).toMatchObject({
      tasks: { total: 50, waiting: 0, held: 0, complete: 50, cancelled: 0 },
      answers: { submitted: recording.size, surplus: 0 },
      live: { leased: 0 },
    });

    await feed.stop();
    expect(feed.events.map(({ cursor }) => Number(cursor))).toEqual(
      Array.from({ length: Number(stats.cursor) }, (_, index) => index + 1),
    );
    expect(feed.events.filter(({ event }) => event === 'submitted')).toHaveLength(recording.size);

    expect(await server.stop()).toBe(0);
    expect(await violationsOnDisk()).toEqual([]);
  },
  TIMEOUT_MS,
);

/** What happens to the network and the server, when so many answers are in. */
class Disasters {
  readonly done: string[] = [];
  /** Rejects when a server does not come back. */
  readonly failed: Promise<never>;
  #fail: (error: unknown) => void = () => undefined;
  #submitted = 0;
  /** One after another: a server cannot be killed while it is being started. */
  #underWay: Promise<void> = Promise.resolve();

  constructor() {
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
  }

  submitted(): void {
    this.#submitted += 1;
    switch (this.#submitted) {
      case 150:
      case 500:
      case 850:
        this.#next(async () => {
          proxy.cut();
          this.done.push('cut');
        });
        break;
      case 330:
        this.#next(async () => {
          await server.killAndRestart({ withPostgres: false });
          this.done.push('kill');
        });
        break;
      case 660:
        this.#next(async () => {
          await server.killAndRestart({ withPostgres: true });
          this.done.push('kill with Postgres');
        });
    }
  }

  async over(): Promise<void> {
    await this.#underWay;
  }

  #next(act: () => Promise<void>): void {
    this.#underWay = this.#underWay.then(act);
    this.#underWay.catch(this.#fail);
  }
}

async function workToTheEnd(judges: readonly Judge[], disasters: Disasters): Promise<void> {
  const work = Promise.all(judges.map((judge) => judge.work())).then(() => disasters.over());
  const tooLong = AbortSignal.timeout(TIMEOUT_MS - 15_000);
  const gaveUp = new Promise<never>((_, reject) => {
    tooLong.addEventListener('abort', () => {
      const left = judges.filter((judge) => judge.left > 0).map((judge) => judge.describe());
      reject(new Error(`${left.join('\n')}\nThe server says:\n${server.log()}`));
    });
  });
  try {
    await Promise.race([work, disasters.failed, gaveUp]);
  } finally {
    for (const judge of judges) judge.close();
  }
}

function importTasks() {
  return api.upload(
    `/api/projects/${SLUG}/tasks`,
    'application/x-ndjson',
    Readable.from([tasks]),
    importAnswer,
  );
}

async function makeJudges(feed: EventFollower, onSubmitted: () => void): Promise<Judge[]> {
  const externalIds = await readExternalIds(api, SLUG, (externalId) => recording.knows(externalId));
  const crew = await signUp(api, recording.workers, { slug: SLUG, needsMembers: false });
  let place = 0;
  return crew.map(({ externalId: worker, token }: CrewMember) => {
    const judgments = new Map<string, JsonValue>();
    const mishaps = new Map<string, Mishap>();
    for (const [taskId, externalId] of externalIds) {
      const judgment = recording.judgment(worker, externalId);
      if (judgment === undefined) continue;
      judgments.set(taskId, shapeResult(judgment.value, sample.settings.resultSchema));
      const mishap = MISHAPS.get(place % 100);
      if (mishap !== undefined) mishaps.set(taskId, mishap);
      place += 1;
    }
    return new Judge({ url: proxy.url, token, worker, judgments, mishaps, feed, onSubmitted });
  });
}

type Exported = z.output<typeof annotation>;

async function readExport(): Promise<Exported[]> {
  const stream = await api.download(`/api/projects/${SLUG}/annotations?format=jsonl`);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  const lines = Buffer.concat(chunks).toString('utf8').trim().split('\n');
  return lines.map((line) => annotation.parse(JSON.parse(line)));
}

function keyOf({ externalId, annotator, result }: Exported): string {
  return `${externalId} ${annotator.externalId} ${JSON.stringify(result)}`;
}

function sourceKeys(): string[] {
  const keys = recording.workers.flatMap((worker) =>
    [...recording.judgmentsOf(worker)].map(
      ([task, { value }]) => `${task} ${worker} ${JSON.stringify({ person: value })}`,
    ),
  );
  expect(keys).toHaveLength(1_000);
  return keys.sort();
}

async function violationsOnDisk(): Promise<string[]> {
  const held = openDataDirectory(directory);
  const postgres = await startEmbeddedPostgres({ dataDirectory: held.path });
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    return await violations(client);
  } finally {
    await client.end();
    await postgres.stop();
    held.release();
  }
}
