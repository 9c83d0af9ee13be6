import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type RemoteApi, remoteApi } from '../../app/remote/api.ts';
import { recordingOf } from '../../app/simulate/replay.ts';
import { annotation, project } from '../../protocol/api/index.ts';
import { temporaryDirectory } from '../support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Finished, runBaton, type ServerProcess, startServer } from '../support/server-process.ts';

const SAMPLE = fileURLToPath(new URL('../../samples/video-person/', import.meta.url));
const JUDGMENTS = join(SAMPLE, 'annotations.jsonl');

let directory: string;
let database: TestDatabase;
let server: ServerProcess;
let api: RemoteApi;

beforeAll(async () => {
  directory = temporaryDirectory();
  database = await createTestDatabase();
  server = await startServer({
    BATON_DATA_DIR: directory,
    DATABASE_URL: database.url,
    BATON_SAMPLE: '0',
    LOG_LEVEL: 'warn',
  });
  api = remoteApi({ url: server.url, token: server.adminToken });
});

afterAll(async () => {
  server?.kill('SIGKILL');
  await server?.ended;
  await database?.drop();
  rmSync(directory, { recursive: true, force: true });
});

function baton(...args: string[]): Promise<Finished> {
  return runBaton(args, { BATON_URL: server.url, BATON_TOKEN: server.adminToken });
}

async function makeProject(slug: string, settings: Record<string, unknown> = {}): Promise<void> {
  const sample = z
    .object({ settings: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(readFileSync(join(SAMPLE, 'project.json'), 'utf8')));
  await api.call('POST', '/api/projects', project, { slug, settings: { ...sample.settings, ...settings } });
  expect((await baton('import', join(SAMPLE, 'tasks.jsonl'), '--project', slug)).code).toBe(0);
}

async function simulate(slug: string, ...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await baton('simulate', '--project', slug, '--json', ...args);
  expect(code, stderr).toBe(0);
  return z.record(z.string(), z.unknown()).parse(JSON.parse(stdout));
}

async function exported(slug: string): Promise<z.output<typeof annotation>[]> {
  const { stdout } = await baton('export', '--project', slug);
  return stdout
    .trim()
    .split('\n')
    .map((line) => annotation.parse(JSON.parse(line)));
}

test('recorded judgments replayed from the command line are the ones that are exported', async () => {
  await makeProject('recorded');
  const summary = await simulate(
    'recorded',
    '--replay',
    JUDGMENTS,
    '--strict',
    '--steady',
    '--speed',
    '100000',
  );
  expect(summary).toMatchObject({
    ended: 'complete',
    annotators: 28,
    submitted: 1_000,
    surplus: 0,
    errors: {},
  });
  const recording = recordingOf(readFileSync(JUDGMENTS, 'utf8'));
  const lines = await exported('recorded');
  expect(lines).toHaveLength(recording.size);
  for (const { externalId, annotator, result } of lines) {
    expect(result).toEqual({ person: recording.judgment(annotator.externalId, externalId ?? '')?.value });
  }
}, 180_000);

test('made-up answers fit the project, whoever comes and goes', async () => {
  await makeProject('invented', { overlap: 3, reconnectGraceMs: 200 });
  const summary = await simulate('invented', '--annotators', '6', '--speed', '20000', '--seed', '7');
  expect(['complete', 'nothing_left']).toContain(summary.ended);
  expect(summary).toMatchObject({ annotators: 6, surplus: 0, tasks: { total: 50, held: 0 } });
  const lines = await exported('invented');
  expect(lines.length).toBe(summary.submitted);
  expect(lines.every(({ annotator }) => annotator.externalId.startsWith('sim-'))).toBe(true);
}, 180_000);

test('it ends when what is left is not for these people, and their tokens with it', async () => {
  await makeProject('alone', { overlap: 2 });
  const summary = await simulate('alone', '--annotators', '1', '--steady', '--speed', '50000');
  expect(summary).toMatchObject({
    ended: 'nothing_left',
    submitted: 50,
    tasks: { complete: 0, waiting: 50 },
  });
  const person = z
    .object({ items: z.array(z.object({ id: z.number() })) })
    .parse(await api.call('GET', '/api/annotators?externalId=sim-001', z.unknown()));
  const tokens = await api.call(
    'GET',
    `/api/annotators/${person.items[0]?.id}/tokens`,
    z.object({ items: z.array(z.object({ revokedAt: z.string().nullable() })) }),
  );
  expect(tokens.items.length).toBeGreaterThan(0);
  expect(tokens.items.every(({ revokedAt }) => revokedAt !== null)).toBe(true);
}, 180_000);

test('wrong usage is told apart from a server that says no', async () => {
  expect(await baton('simulate', '--project', 'nowhere')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('nowhere'),
  });
  expect(await baton('simulate', '--project', 'alone', '--strict')).toMatchObject({ code: 2 });
  expect(await baton('simulate', '--project', 'alone', '--speed', 'fast')).toMatchObject({ code: 2 });
  expect(await baton('simulate', '--project', 'alone', '--replay', '/nowhere')).toMatchObject({ code: 2 });
});
