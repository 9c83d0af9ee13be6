import { expect, test } from 'vitest';
import { migrate } from '../../app/migrate.ts';
import { startEmbeddedPostgres, stopLeftPostgres } from '../../app/postgres/index.ts';
import { CuttableProxy } from '../replay/cuttable-proxy.ts';
import { startTestCluster } from '../support/cluster.ts';
import { createTestDatabase, cutConnections } from '../support/database.ts';
import { startServer } from './server-under-test.ts';

test('connections that were cut are made again, and the answers until then are retryable', async () => {
  const server = await startServer();
  try {
    await server.createProject('cut');
    await cutConnections(server.database);
    const statuses = new Set<number>();
    for (let i = 0; i < 5; i++) statuses.add((await server.call('GET', '/api/projects/cut')).status);
    expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([]);
    expect((await server.call('GET', '/api/projects/cut')).status).toBe(200);
  } finally {
    await server.stop();
  }
});

test('a Postgres that takes connections and says nothing is away, too', async () => {
  const database = await createTestDatabase();
  const url = new URL(database.url);
  const proxy = await CuttableProxy.start(Number(url.port));
  url.port = String(proxy.port);
  const server = await startServer({}, { url: url.href, drop: () => database.drop() });
  try {
    await server.createProject('hung');
    proxy.hang();
    proxy.cut();
    // The first is told of its connection's end; the second waits for a new one in vain.
    for (let i = 0; i < 2; i++) {
      const answer = await server.call('GET', '/api/projects/hung');
      expect([answer.status, answer.body]).toMatchObject([503, { code: 'unavailable', retryable: true }]);
    }
    proxy.heal();
    await expect
      .poll(async () => (await server.call('GET', '/api/projects/hung')).status, { timeout: 20_000 })
      .toBe(200);
  } finally {
    proxy.heal();
    await server.stop();
    await proxy.stop();
  }
}, 60_000);

test('while Postgres is stopped every answer is a retryable 503, and when it is back all goes on', async () => {
  const cluster = await startTestCluster();
  await migrate(cluster.url);
  const server = await startServer({}, { url: cluster.url, drop: async () => undefined });
  const lines = Array.from({ length: 5_000 }, (_, i) => `{"data":${i},"externalId":"${i}"}`).join('\n');
  const upload = () =>
    server.call('POST', '/api/projects/away/tasks', lines, {
      headers: { 'content-type': 'application/x-ndjson' },
    });
  const isReady = async () => (await server.call('GET', '/health/ready', undefined, { token: null })).status;
  await server.createProject('away');
  const { token } = await server.createAnnotator('a');
  expect(await isReady()).toBe(200);

  await stopLeftPostgres(cluster.directory);
  const answers = {
    strangersToken: await server.call('GET', '/api/me', undefined, { token }),
    read: await server.call('GET', '/api/projects'),
    write: await server.call('POST', '/api/projects', { slug: 'new' }),
    export: await server.call('GET', '/api/projects/away/annotations'),
    feed: await server.call('GET', '/api/projects/away/events'),
    import: await upload(),
  };
  for (const [name, answer] of Object.entries(answers)) {
    expect([name, answer.status, answer.body]).toMatchObject([
      name,
      503,
      { code: 'unavailable', retryable: true },
    ]);
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.headers['content-type']).toContain('application/problem+json');
  }
  expect((await server.call('GET', '/health/live', undefined, { token: null })).status).toBe(200);
  expect(await isReady()).toBe(503);

  const again = await startEmbeddedPostgres({ dataDirectory: cluster.directory, durable: false });
  await expect.poll(isReady, { timeout: 20_000 }).toBe(200);
  expect((await upload()).body).toMatchObject({ created: 5_000, duplicates: 0 });
  await server.stop();
  await again.stop(5_000);
  await cluster.stop();
});
