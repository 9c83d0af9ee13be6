import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { stopLeftPostgres } from '../../app/postgres/index.ts';
import { temporaryDirectory } from '../support/cluster.ts';
import { type ServerProcess, startServer } from '../support/server-process.ts';

const MIB = 1024 * 1024;
const TASKS_PER_FILE = 10_000;

const answer = z.object({ created: z.number(), duplicates: z.number() });
const stats = z.object({ tasks: z.object({ total: z.number() }) });

const place = { directory: '', why: '' };

beforeAll(() => {
  place.directory = temporaryDirectory();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', place.directory], { stdio: 'pipe' });
  } catch (error) {
    place.why = `a small file system cannot be mounted here: ${String(error)}`;
  }
});

afterAll(async () => {
  await stopLeftPostgres(place.directory);
  if (place.why === '') execFileSync('umount', [place.directory]);
  rmSync(place.directory, { recursive: true, force: true });
});

/** A file of tasks that hardly compress, the same external ids each time it is made for the same number. */
function tasks(file: number): string {
  const lines: string[] = [];
  for (let n = 0; n < TASKS_PER_FILE; n++) {
    const text = randomBytes(1_500).toString('base64');
    lines.push(JSON.stringify({ externalId: `${file}-${n}`, data: { text } }));
  }
  return lines.join('\n');
}

function call(server: ServerProcess, path: string, sent?: { type: string; body: string }): Promise<Response> {
  const authorization = `Bearer ${server.adminToken}`;
  return fetch(`${server.url}${path}`, {
    headers: { authorization, ...(sent && { 'content-type': sent.type }) },
    ...(sent && { method: 'POST', body: sent.body }),
  });
}

const importFile = (server: ServerProcess, file: number) =>
  call(server, '/api/projects/big/tasks', { type: 'application/x-ndjson', body: tasks(file) });

test('an import fills the disk: it says how far it came, and goes on when there is room again', async (context) => {
  if (place.why !== '') context.skip(place.why);
  const ballast = join(place.directory, 'ballast');
  writeFileSync(ballast, Buffer.alloc(60 * MIB));
  const server = await startServer({ BATON_DATA_DIR: join(place.directory, 'data'), BATON_SAMPLE: '0' });
  try {
    const made = await call(server, '/api/projects', {
      type: 'application/json',
      body: JSON.stringify({ slug: 'big' }),
    });
    expect(made.status).toBe(201);

    let created = 0;
    let refused: Response | undefined;
    for (let file = 0; refused === undefined && file < 10; file++) {
      const response = await importFile(server, file);
      if (response.status === 507) refused = response;
      else created += answer.parse(await response.json()).created;
    }
    const problem: unknown = await refused?.json();
    expect(problem).toMatchObject({ code: 'insufficient_storage', retryable: true });
    created += answer.parse(problem).created;
    expect((await call(server, '/health/live')).status).toBe(200);

    truncateSync(ballast);
    const last = Math.floor(created / TASKS_PER_FILE);
    const resumed = await importFile(server, last);
    expect(resumed.status).toBe(200);
    const { created: rest, duplicates } = answer.parse(await resumed.json());
    expect({ created: created + rest, duplicates }).toEqual({
      created: (last + 1) * TASKS_PER_FILE,
      duplicates: created - last * TASKS_PER_FILE,
    });
    const counted = await call(server, '/api/projects/big/stats');
    expect(stats.parse(await counted.json()).tasks.total).toBe((last + 1) * TASKS_PER_FILE);
  } finally {
    server.kill('SIGTERM');
    await server.ended;
  }
}, 60_000);
