import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { stopLeftPostgres } from '../../app/postgres/index.ts';
import { livePostmaster } from '../../app/postgres/postmaster.ts';
import { isProcessRunning } from '../../app/processes.ts';
import { temporaryDirectory } from '../support/cluster.ts';
import { runBaton, type ServerProcess, startServer } from '../support/server-process.ts';

const context = { directory: '', servers: [] as ServerProcess[] };

beforeEach(() => {
  context.directory = temporaryDirectory();
});

afterEach(async () => {
  for (const server of context.servers.splice(0)) {
    server.kill('SIGKILL');
    await server.ended;
  }
  await stopLeftPostgres(context.directory);
  rmSync(context.directory, { recursive: true, force: true });
});

async function start(env: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await startServer({ BATON_DATA_DIR: context.directory, ...env });
  context.servers.push(server);
  return server;
}

async function get(server: ServerProcess, path: string): Promise<unknown> {
  const response = await fetch(`${server.url}${path}`, {
    headers: { authorization: `Bearer ${server.adminToken}` },
  });
  return response.json();
}

async function createProject(server: ServerProcess, slug: string): Promise<void> {
  const response = await fetch(`${server.url}/api/projects`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ slug }),
  });
  expect(response.status).toBe(201);
}

function postgresPid(): number | undefined {
  return livePostmaster(join(context.directory, 'postgres'))?.pid;
}

describe('a server on an empty data directory', () => {
  test('is ready in under ten seconds, with the sample project and tokens that work', async () => {
    const server = await start();
    expect(server.startedInMs).toBeLessThan(10_000);
    expect(await get(server, '/api/projects/pandalm')).toMatchObject({
      slug: 'pandalm',
      settings: { overlap: 3 },
    });
    expect(await get(server, '/api/projects/pandalm/stats')).toMatchObject({
      tasks: { total: 999, waiting: 999 },
    });
    const me = await fetch(`${server.url}/api/me`, {
      headers: { authorization: `Bearer ${server.annotatorToken}` },
    });
    expect(await me.json()).toMatchObject({
      role: 'annotator',
      annotator: { externalId: 'sample-annotator' },
    });
    expect((await fetch(server.docs)).status).toBe(200);
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
    expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('baton_connections 0');
    expect(server.log()).not.toContain(server.adminToken);
  });

  test('has no sample project with BATON_SAMPLE=0, and the admin token that is set', async () => {
    const server = await start({ BATON_SAMPLE: '0', BATON_ADMIN_TOKEN: 'a-token-of-my-own' });
    expect(server).toMatchObject({ adminToken: 'a-token-of-my-own' });
    expect(server.annotatorToken).toBeUndefined();
    expect(await get(server, '/api/projects')).toMatchObject({ items: [] });
  });
});

describe('a server that was stopped', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s ends cleanly, and the next one finds everything as it was',
    async (signal) => {
      const first = await start();
      await createProject(first, 'mine');
      const postgres = postgresPid();
      first.kill(signal);
      // Under npm one Ctrl-C arrives twice.
      first.kill(signal);
      expect(await first.ended).toMatchObject({ code: 0 });
      await vi.waitFor(() => expect(postgres !== undefined && isProcessRunning(postgres)).toBe(false));

      const second = await start();
      expect(second).toMatchObject({ adminToken: first.adminToken, annotatorToken: first.annotatorToken });
      expect(await get(second, '/api/projects/mine')).toMatchObject({ slug: 'mine' });
      expect(await get(second, '/api/projects/pandalm/stats')).toMatchObject({ tasks: { total: 999 } });
    },
  );

  test('by kill -9 alone leaves its Postgres to the next one, which adopts it', async () => {
    const first = await start();
    await createProject(first, 'mine');
    const postgres = postgresPid();
    first.kill('SIGKILL');
    await first.ended;
    expect(postgresPid()).toBe(postgres);

    const second = await start();
    expect(second.database).toContain('adopted');
    expect(postgresPid()).toBe(postgres);
    expect(second.adminToken).toBe(first.adminToken);
    expect(await get(second, '/api/projects/mine')).toMatchObject({ slug: 'mine' });
    second.kill('SIGINT');
    expect(await second.ended).toMatchObject({ code: 0 });
    expect(postgresPid()).toBeUndefined();
  });

  test('by kill -9 together with its Postgres loses nothing', async () => {
    const first = await start();
    await createProject(first, 'mine');
    const postgres = postgresPid() ?? 0;
    process.kill(postgres, 'SIGKILL');
    first.kill('SIGKILL');
    await first.ended;
    await vi.waitFor(() => expect(isProcessRunning(postgres)).toBe(false), 5_000);

    const second = await start();
    expect(second.database).toContain('started');
    expect(await get(second, '/api/projects/mine')).toMatchObject({ slug: 'mine' });
    expect(await get(second, '/api/projects/pandalm/stats')).toMatchObject({ tasks: { total: 999 } });
  });

  test('while it made the sample finishes it at the next start', async () => {
    const first = await start({ BATON_SAMPLE: '0' });
    await createProject(first, 'pandalm');
    first.kill('SIGINT');
    await first.ended;
    writeFileSync(join(context.directory, 'sample-unfinished'), 'x');
    expect(await get(await start(), '/api/projects/pandalm/stats')).toMatchObject({ tasks: { total: 999 } });
  });
});

describe('a server whose embedded Postgres is killed', () => {
  test('starts it again and goes on, with everything as it was', async () => {
    const server = await start();
    const postgres = postgresPid() ?? 0;
    process.kill(postgres, 'SIGKILL');
    await vi.waitFor(() => expect(server.log()).toContain('"postgres":"restored"'), 20_000);
    expect(postgresPid()).not.toBe(postgres);
    await vi.waitFor(
      async () => expect((await fetch(`${server.url}/health/ready`)).status).toBe(200),
      20_000,
    );
    await createProject(server, 'afterwards');
    expect(await get(server, '/api/projects/pandalm/stats')).toMatchObject({ tasks: { total: 999 } });
    server.kill('SIGINT');
    expect(await server.ended).toMatchObject({ code: 0 });
    expect(postgresPid()).toBeUndefined();
  });
});

describe('a start is refused clearly', () => {
  const refused = (env: Record<string, string>) =>
    runBaton(['serve'], { BATON_DATA_DIR: context.directory, PORT: '0', ...env });

  test('when the port is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const result = await refused({ PORT: String(port) });
    other.close();
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toBe(
      `error: Another program listens on 127.0.0.1:${port}.\nStop it, or set PORT to another port.\n`,
    );
    expect(postgresPid()).toBeUndefined();
  });

  test('when another server uses the data directory', async () => {
    const first = await start({ BATON_SAMPLE: '0' });
    const result = await refused({});
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain(`in use by the Baton server with process id ${first.pid}`);
    expect((await fetch(`${first.url}/health/ready`)).status).toBe(200);
  });

  test('when the data directory is of a newer Postgres', async () => {
    const first = await start({ BATON_SAMPLE: '0' });
    first.kill('SIGINT');
    await first.ended;
    writeFileSync(join(context.directory, 'postgres', 'PG_VERSION'), '19\n');
    const result = await refused({});
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain('was written by Postgres 19; this Baton brings Postgres 18');
  });

  test('when a setting is wrong, or the database is away', async () => {
    const wrong = await refused({ PORT: 'http', BATON_ROLES: 'cook' });
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('PORT must be a port number');
    expect(wrong.stderr).toContain('BATON_ROLES must name roles');
    const away = await refused({ DATABASE_URL: 'postgres://nobody:secret-word@127.0.0.1:1/none' });
    expect(away.code).toBe(1);
    expect(away.stderr).toContain('The database cannot be reached');
    expect(away.stderr).not.toContain('secret-word');
  });
});
