import Fastify from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { guardRoutes } from '../../gateway/http/access.ts';
import { DEFAULT_HTTP_CONFIG } from '../../gateway/http/index.ts';
import { type ServerUnderTest, startServer } from './server-under-test.ts';

let server: ServerUnderTest;
let annotator: { id: number; token: string };
let supervisorToken: string;

beforeAll(async () => {
  server = await startServer();
  annotator = await server.createAnnotator('ann');
  const key = await server.call('POST', '/api/keys', { name: 'lead', role: 'supervisor' });
  supervisorToken = key.body.token;
});
afterAll(() => server.stop());

/** Who may call what, in one place. The test below fails for a route that is not here. */
const ROUTES: readonly [method: string, url: string, roles: string][] = [
  ['GET', '/health/live', 'public'],
  ['GET', '/health/ready', 'public'],
  ['GET', '/metrics', 'public'],
  ['OPTIONS', '/*', 'public'],
  ['GET', '/api/me', 'admin,supervisor,annotator'],
  ['POST', '/api/projects', 'admin'],
  ['GET', '/api/projects', 'admin,supervisor'],
  ['GET', '/api/projects/:slug', 'admin,supervisor'],
  ['PATCH', '/api/projects/:slug', 'admin'],
  ['PATCH', '/api/projects/:slug/settings', 'admin'],
  ['POST', '/api/projects/:slug/pause', 'admin,supervisor'],
  ['POST', '/api/projects/:slug/resume', 'admin,supervisor'],
  ['POST', '/api/projects/:slug/archive', 'admin'],
  ['GET', '/api/projects/:slug/stats', 'admin,supervisor'],
  ['GET', '/api/projects/:slug/members', 'admin,supervisor'],
  ['POST', '/api/projects/:slug/members', 'admin'],
  ['DELETE', '/api/projects/:slug/members/:annotatorId', 'admin'],
  ['POST', '/api/projects/:slug/tasks', 'admin'],
  ['GET', '/api/projects/:slug/tasks', 'admin,supervisor'],
  ['GET', '/api/projects/:slug/tasks/:taskId', 'admin,supervisor'],
  ['PATCH', '/api/projects/:slug/tasks/:taskId', 'admin,supervisor'],
  ['POST', '/api/projects/:slug/tasks/:taskId/cancel', 'admin,supervisor'],
  ['POST', '/api/projects/:slug/tasks/:taskId/requeue', 'admin,supervisor'],
  ['GET', '/api/assignments', 'admin,supervisor'],
  ['POST', '/api/assignments/:assignmentId/revoke', 'admin,supervisor'],
  ['POST', '/api/annotators', 'admin'],
  ['GET', '/api/annotators', 'admin,supervisor'],
  ['GET', '/api/annotators/:annotatorId', 'admin,supervisor'],
  ['PATCH', '/api/annotators/:annotatorId', 'admin'],
  ['POST', '/api/annotators/:annotatorId/pause', 'admin,supervisor'],
  ['POST', '/api/annotators/:annotatorId/resume', 'admin,supervisor'],
  ['POST', '/api/annotators/:annotatorId/ban', 'admin,supervisor'],
  ['POST', '/api/annotators/:annotatorId/unban', 'admin,supervisor'],
  ['POST', '/api/annotators/:annotatorId/tokens', 'admin'],
  ['GET', '/api/annotators/:annotatorId/tokens', 'admin'],
  ['DELETE', '/api/annotators/:annotatorId/tokens/:tokenId', 'admin'],
  ['POST', '/api/keys', 'admin'],
  ['GET', '/api/keys', 'admin'],
  ['DELETE', '/api/keys/:keyId', 'admin'],
  ['GET', '/api/projects/:slug/annotations', 'admin,supervisor'],
  ['GET', '/api/projects/:slug/events', 'admin,supervisor'],
  ['GET', '/api/audit', 'admin'],
];

test('every route declares its roles, and they are these', async () => {
  const document = await server.call('GET', '/docs/json', undefined, { token: null });
  const described: string[] = [];
  for (const [path, item] of Object.entries<Record<string, { description?: string; security?: unknown[] }>>(
    document.body.paths,
  )) {
    for (const [method, operation] of Object.entries(item)) {
      const roles = /Roles: (.*)\.$/.exec(operation.description ?? '')?.[1]?.replaceAll(', ', ',');
      const access = operation.security?.length === 0 ? 'public' : roles;
      const url = path.replaceAll(/\{(\w+)\}/g, ':$1');
      described.push(`${method.toUpperCase()} ${url} ${access}`);
    }
  }
  const expected = ROUTES.filter(([method]) => method !== 'OPTIONS').map((route) => route.join(' '));
  expect(described.sort()).toEqual([...expected].sort());
});

test('every route refuses those it is not for, before it looks at anything else', async () => {
  const tokens = [
    ['annotator', annotator.token],
    ['supervisor', supervisorToken],
    ['nobody', null],
    ['a stranger', 'bt_0000000000000000000000000000000000000000000'],
  ] as const;
  for (const [method, url, roles] of ROUTES) {
    if (roles === 'public') continue;
    for (const [who, token] of tokens) {
      if (roles.split(',').includes(who)) continue;
      const path = url.replaceAll(/:\w+/g, '1');
      const answer = await server.call(method, path, method === 'POST' ? '{' : undefined, { token });
      const isKnown = who === 'annotator' || who === 'supervisor';
      expect([method, url, who, answer.status]).toEqual([method, url, who, isKnown ? 403 : 401]);
      expect(answer.body.code).toBe(isKnown ? 'forbidden' : 'unauthorized');
    }
  }
});

test('a route that does not say who may call it is not registered', () => {
  const app = Fastify();
  guardRoutes(app, {
    authenticator: {
      authenticate: async () => undefined,
      forget: () => undefined,
      onRevoked: () => () => undefined,
    },
    config: DEFAULT_HTTP_CONFIG,
  });
  expect(() => app.get('/api/open', () => 'x')).toThrow('does not say who may call it');
});

test('the OpenAPI document is 3.1, whole, and describes every error', async () => {
  const { body } = await server.call('GET', '/docs/json', undefined, { token: null });
  expect(body.openapi).toBe('3.1.0');
  const names = [...JSON.stringify(body).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]);
  const schemas = Object.keys(body.components.schemas).map((name) => `#/components/schemas/${name}`);
  expect(names.filter((name) => !schemas.includes(name ?? ''))).toEqual([]);
  expect(schemas).toContain('#/components/schemas/Problem');
  const imports = body.paths['/api/projects/{slug}/tasks'].post;
  expect(Object.keys(imports.requestBody.content)).toEqual([
    'application/json',
    'application/x-ndjson',
    'text/csv',
  ]);
  expect(imports.responses.default.content).toHaveProperty('application/problem+json');
});

test('health, metrics and the docs need no token', async () => {
  for (const path of ['/health/live', '/health/ready', '/metrics', '/docs/', '/docs/json']) {
    expect([path, (await server.call('GET', path, undefined, { token: null })).status]).toEqual([path, 200]);
  }
  const metrics = await server.call('GET', '/metrics', undefined, { token: null });
  const names = [...metrics.text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1] ?? '');
  expect(names).toContain('baton_http_request_seconds');
  expect(names.filter((name) => !name.startsWith('baton_'))).toEqual([]);
});

test('a token says who it is', async () => {
  const me = await server.call('GET', '/api/me', undefined, { token: annotator.token });
  expect(me.body).toMatchObject({ role: 'annotator', annotator: { id: annotator.id, externalId: 'ann' } });
  expect((await server.call('GET', '/api/me')).body).toMatchObject({ role: 'admin', annotator: null });
});

test('a token is shown once, listed without its secret, and useless as soon as it is revoked', async () => {
  const { id, token } = await server.createAnnotator('short-lived');
  expect(token).toMatch(/^bt_[\w-]{43}$/);
  expect((await server.call('GET', '/api/me', undefined, { token })).status).toBe(200);
  const list = await server.call('GET', `/api/annotators/${id}/tokens`);
  expect(list.body.items).toMatchObject([{ prefix: token.slice(0, 8), revokedAt: null, role: 'annotator' }]);
  expect(list.text).not.toContain(token);

  const tokenId = list.body.items[0].id;
  const others = await server.call('DELETE', `/api/annotators/${annotator.id}/tokens/${tokenId}`);
  expect(others.status).toBe(404);
  expect((await server.call('DELETE', `/api/keys/${tokenId}`)).status).toBe(404);
  expect((await server.call('DELETE', `/api/annotators/${id}/tokens/${tokenId}`)).body).toEqual({
    revoked: true,
  });
  const refused = await server.call('GET', '/api/me', undefined, { token });
  expect([refused.status, refused.headers['www-authenticate']]).toEqual([401, 'Bearer']);
  expect((await server.call('GET', `/api/annotators/${id}/tokens`)).body.items[0].revokedAt).not.toBeNull();
});

test('tokens are stored as hashes alone', async () => {
  const { token } = await server.createAnnotator('hashed');
  const { rows } = await server.db.raw<{ rows: unknown[] }>('select t.*, hash::text from tokens t');
  expect(JSON.stringify(rows)).not.toContain(token);
  const audit = await server.db.raw<{ rows: unknown[] }>('select * from audit_log');
  expect(audit.rows.length).toBeGreaterThan(3);
  expect(JSON.stringify(audit.rows)).not.toContain(token);
});

test('the audit log says who changed what, a page at a time', async () => {
  await server.createProject('audited');
  await server.call('POST', '/api/projects/audited/pause', undefined, { token: supervisorToken });
  const entries = [];
  for (let next: string | null = ''; next !== null; ) {
    const page = await server.call('GET', `/api/audit?limit=3${next === '' ? '' : `&cursor=${next}`}`);
    expect(page.status).toBe(200);
    expect(page.body.items.length).toBeLessThanOrEqual(3);
    entries.push(...page.body.items);
    next = page.body.next;
  }
  const ids = entries.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  expect(entries.filter(({ subject }) => subject === 'audited')).toMatchObject([
    { actor: expect.stringMatching(/^admin:token:\d+$/), action: 'project.create', detail: null },
    { actor: expect.stringMatching(/^supervisor:token:\d+$/), action: 'project.paused' },
  ]);
  expect((await server.call('GET', '/api/audit?cursor=k1')).body).toMatchObject({ code: 'malformed' });
});

test('an expired token is refused', async () => {
  const key = await server.call('POST', '/api/keys', {
    name: 'old',
    role: 'admin',
    expiresAt: '2020-01-01T00:00:00.000Z',
  });
  expect((await server.call('GET', '/api/me', undefined, { token: key.body.token })).status).toBe(401);
});

test('another fixed admin token takes the place of the one before, and weak ones are refused', async () => {
  await server.admin.ensureAdminToken('a-second-fixed-admin-token');
  expect((await server.call('GET', '/api/me')).status).toBe(401);
  await server.admin.ensureAdminToken('admin-token-of-these-tests');
  expect((await server.call('GET', '/api/me')).status).toBe(200);
  expect(
    (await server.call('GET', '/api/me', undefined, { token: 'a-second-fixed-admin-token' })).status,
  ).toBe(401);
  await expect(server.admin.ensureAdminToken('short')).rejects.toThrow(RangeError);
  expect((await server.admin.ensureAdminToken(annotator.token)).ok).toBe(false);
});

test('logs hold routes and statuses, but no tokens, bodies, queries or names', async () => {
  await server.call('GET', '/api/annotators?externalId=very-private-id');
  await server.call('POST', '/api/annotators', { externalId: 'p1', name: 'Very Private Name' });
  const log = server.log();
  expect(log).toContain('/api/annotators/:annotatorId/tokens');
  for (const secret of [
    annotator.token,
    supervisorToken,
    'admin-token-of',
    'very-private-id',
    'Very Private',
  ]) {
    expect(log).not.toContain(secret);
  }
});

test('too many requests, or wrong tokens, are answered 429 with a time', async () => {
  const strict = await startServer({ requestsPerMinute: 5, failedLoginsPerMinute: 3 });
  try {
    const statuses = [];
    for (let i = 0; i < 7; i++) statuses.push((await strict.call('GET', '/api/me')).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
    const limited = await strict.call('GET', '/api/me');
    expect(limited.body).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
    const guesses = [];
    for (let i = 0; i < 5; i++) {
      guesses.push(
        (await strict.call('GET', '/api/me', undefined, { token: `wrong-token-number-${i}` })).status,
      );
    }
    expect(guesses).toEqual([401, 401, 401, 429, 429]);
  } finally {
    await strict.stop();
  }
});

test('pages of other origins are not let in unless they are on the list', async () => {
  const open = await startServer({ allowedOrigins: ['https://label.example.org'] });
  try {
    const ask = (origin: string) =>
      open.call('OPTIONS', '/api/projects', undefined, { token: null, headers: { origin } });
    expect((await ask('https://label.example.org')).headers['access-control-allow-origin']).toBe(
      'https://label.example.org',
    );
    expect(
      (await ask('https://elsewhere.example.org')).headers['access-control-allow-origin'],
    ).toBeUndefined();
  } finally {
    await open.stop();
  }
});
