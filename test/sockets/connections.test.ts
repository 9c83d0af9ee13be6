import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SessionState } from '../../engine/door.ts';
import { ok, type Result, refuse } from '../../engine/refusals.ts';
import {
  ANNA,
  BEN,
  type GatewayUnderTest,
  next,
  refusalOf,
  startGateway,
  stateOf,
} from './gateway-under-test.ts';
import { NO_WORK, refOf, viewOf } from './scripted-engine.ts';

let server: GatewayUnderTest;

beforeEach(async () => {
  server = await startGateway();
});

afterEach(async () => {
  await server.close();
});

describe('who may connect', () => {
  test.each([
    ['no token', undefined, 'unauthorized'],
    ['an unknown token', 'carla', 'unauthorized'],
    ['a token that is no text', { $ne: '' }, 'unauthorized'],
    ['an endless token', 'x'.repeat(513), 'unauthorized'],
    ['the token of an admin', 'boss', 'forbidden'],
  ])('%s is refused and the engine never hears of it', async (_what, token, code) => {
    expect(await refusalOf(server.plain(token))).toMatchObject({ code, retryable: false });
    expect(server.engine.calls).toEqual([]);
  });

  test('while tokens cannot be read, a connection is refused for now', async () => {
    server.tokens.lost = new Error('connection to 10.0.0.1 refused for token anna');
    expect(await refusalOf(server.plain('anna'))).toMatchObject({
      code: 'unavailable',
      retryable: true,
      retryAfterMs: 500,
    });
    expect(JSON.stringify(server.log)).not.toContain('anna');
  });

  test('the main namespace is closed to everybody', async () => {
    expect(await refusalOf(server.plain('anna', { namespace: '/' }))).toMatchObject({ code: 'not_found' });
  });

  test('a page of a foreign origin is refused, one of this host or of a listed origin is not', async () => {
    const strict = await startGateway({ config: { allowedOrigins: ['https://label.example'] } });
    try {
      const from = (origin: string) => strict.plain('anna', { headers: { origin } });
      expect(await refusalOf(from('https://evil.example'))).toMatchObject({
        code: 'origin_refused',
        retryable: false,
      });
      expect(await refusalOf(from('null'))).toMatchObject({ code: 'origin_refused' });
      await stateOf(from('https://label.example'));
      await stateOf(from(strict.url));
    } finally {
      await strict.close();
    }
  });

  test('connections are limited per annotator and in all, also when they come at the same moment', async () => {
    const narrow = await startGateway({ config: { maxConnections: 3, maxConnectionsPerAnnotator: 2 } });
    try {
      const refused: string[] = [];
      const welcome: string[] = [];
      const open = (token: string) =>
        new Promise<void>((resolve) => {
          const socket = narrow.plain(token);
          const note = (list: string[]) => () => {
            list.push(token);
            resolve();
          };
          socket.once('session:state', note(welcome));
          socket.once('session:closed', note(refused));
          socket.once('connect_error', note(refused));
        });
      await Promise.all([open('anna'), open('anna'), open('anna'), open('anna')]);
      expect([welcome.length, refused.length]).toEqual([2, 2]);
      await open('ben');
      const full = await refusalOf(narrow.plain('ben'));
      expect(full.code).toBe('too_many_connections');
      expect(full.retryAfterMs).toBeGreaterThanOrEqual(5_000);
      expect(welcome).toEqual(['anna', 'anna', 'ben']);
      expect(narrow.gateway.connections()).toBe(3);
    } finally {
      await narrow.close();
    }
  });

  test('who shows too many wrong tokens is refused for a while, without a look at the next one', async () => {
    let nowMs = 0;
    const strict = await startGateway({ config: { failedLoginsPerMinute: 3 }, nowMs: () => nowMs });
    try {
      for (const token of ['wrong-1', 'wrong-2', 'wrong-3']) {
        expect(await refusalOf(strict.plain(token))).toMatchObject({ code: 'unauthorized' });
      }
      nowMs = 20_000;
      expect(await refusalOf(strict.plain('anna'))).toMatchObject({
        code: 'rate_limited',
        retryable: true,
        retryAfterMs: 40_000,
      });
      expect(strict.tokens.looks).toBe(3);
      nowMs = 60_000;
      await stateOf(strict.plain('anna'));
    } finally {
      await strict.close();
    }
  });

  test('a banned annotator is told so and not asked back', async () => {
    server.engine.script({ connect: async () => refuse('annotator_banned') });
    const socket = server.plain('anna');
    const gone = next(socket, 'disconnect');
    expect(await next(socket, 'session:closed')).toMatchObject({
      error: { code: 'annotator_banned', retryable: false },
    });
    expect(await gone).toBe('io server disconnect');
    expect(server.engine.callsOf('disconnect')).toEqual([]);
  });

  test('garbage on the wire ends that connection and no other', async () => {
    const bystander = server.plain('ben');
    await stateOf(bystander);
    for (const frame of [
      '9',
      '2',
      '2/annotator,1["work:request"',
      '0/annotator,7',
      '0/annotator,{}',
      '5999-["x"]',
    ]) {
      const socket = server.plain('anna');
      await stateOf(socket);
      const gone = next(socket, 'disconnect');
      socket.io.engine.write(frame);
      await gone;
    }
    // An event without a name, and a binary event whose attachment never comes, are only odd.
    for (const frame of ['2/annotator,', '2/annotator,[7]', '51-/annotator,["x"]']) {
      const socket = server.plain('anna');
      await stateOf(socket);
      socket.io.engine.write(frame);
      socket.disconnect();
    }
    expect(await bystander.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
  });

  test('a result nested beyond any stack is refused and the server lives', async () => {
    const socket = server.plain('anna');
    await stateOf(socket);
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    socket.io.engine.write(`2/annotator,["work:draft",{"assignmentId":"7-1","draft":${deep}}]`);
    expect(await socket.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
    expect(server.engine.callsOf('draft')).toEqual([]);
  });
});

describe('state and pushes', () => {
  test('a connection begins with the state, and each connection is one connect and one disconnect for the engine', async () => {
    const lease = server.engine.lease(ANNA, { draft: { half: true } });
    const socket = server.plain('anna');
    expect(await stateOf(socket)).toEqual({
      seq: 0,
      paused: false,
      assignments: [
        expect.objectContaining({ id: '7-1', draft: { half: true }, expiresInMs: lease.expiresInMs }),
      ],
    });
    expect(server.engine.connections.get(ANNA)).toBe(1);
    socket.disconnect();
    await vi.waitFor(() => expect(server.engine.connections.get(ANNA)).toBe(0));
    expect(server.engine.callsOf('disconnect').length).toBe(1);
  });

  test('pushes that come while the state is read follow it, in order, numbered', async () => {
    let answer: (state: Result<SessionState>) => void = () => undefined;
    server.engine.script({
      connect: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const socket = server.plain('anna');
    const heard: [string, unknown][] = [];
    socket.onAny((event: string, body: unknown) => heard.push([event, body]));
    await vi.waitFor(() => expect(server.engine.callsOf('connect').length).toBe(1));
    server.engine.push(ANNA, { kind: 'assigned', assignment: viewOf(1, ANNA) });
    server.engine.push(ANNA, { kind: 'expiring', ref: refOf(1), expiresInMs: 9_000 });
    answer(ok({ assignments: [], waiting: NO_WORK, paused: false }));
    await vi.waitFor(() => expect(heard.length).toBe(3));
    server.engine.push(ANNA, { kind: 'revoked', ref: refOf(1), reason: 'max_duration' });
    await vi.waitFor(() => expect(heard.length).toBe(4));
    expect(heard).toEqual([
      ['session:state', { seq: 0, assignments: [], waiting: { reasons: NO_WORK }, paused: false }],
      ['work:assigned', { seq: 1, assignment: expect.objectContaining({ id: '7-1' }) }],
      ['work:expiring', { seq: 2, assignmentId: '7-1', expiresInMs: 9_000 }],
      ['work:revoked', { seq: 3, assignmentId: '7-1', reason: 'max_duration' }],
    ]);
  });

  test('a sync carries the number of the last push before it, and the pushes behind it go on from there', async () => {
    const socket = server.plain('anna');
    await stateOf(socket);
    const first = next(socket, 'work:expiring');
    server.engine.push(ANNA, { kind: 'expiring', ref: refOf(1), expiresInMs: 9_000 });
    await first;
    let answer: (state: Result<SessionState>) => void = () => undefined;
    server.engine.script({
      state: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const sync = socket.emitWithAck('session:sync', {});
    await vi.waitFor(() => expect(server.engine.callsOf('state').length).toBe(1));
    const second = next(socket, 'work:expiring');
    server.engine.push(ANNA, { kind: 'expiring', ref: refOf(1), expiresInMs: 8_000 });
    answer(ok({ assignments: [], paused: true }));
    expect(await sync).toEqual({ ok: true, seq: 1, assignments: [], paused: true });
    expect(await second).toMatchObject({ seq: 2, expiresInMs: 8_000 });
  });

  test('a message sent before the state has come waits for it', async () => {
    const socket = server.plain('anna');
    const heard: string[] = [];
    socket.on('session:state', () => heard.push('state'));
    await socket.emitWithAck('work:request', { requestId: 'early' }).then(() => heard.push('answer'));
    expect(heard).toEqual(['state', 'answer']);
  });

  test('two tabs hear the same pushes, nobody else does, and one learns what the other does', async () => {
    const [left, right, other] = [server.plain('anna'), server.plain('anna'), server.plain('ben')];
    await Promise.all([stateOf(left), stateOf(right), stateOf(other)]);
    const strange: unknown[] = [];
    other.onAny((...event: unknown[]) => strange.push(event));

    const both = [next(left, 'work:assigned'), next(right, 'work:assigned')];
    server.engine.push(ANNA, { kind: 'assigned', assignment: viewOf(90, ANNA) });
    expect(await Promise.all(both)).toEqual([
      { seq: 1, assignment: expect.objectContaining({ id: '7-90' }) },
      { seq: 1, assignment: expect.objectContaining({ id: '7-90' }) },
    ]);

    const told = next(right, 'work:assigned');
    await left.emitWithAck('work:request', { requestId: 'r1' });
    expect(await told).toEqual({ seq: 2, assignment: expect.objectContaining({ id: '7-1' }) });

    const gone = next(right, 'work:revoked');
    await left.emitWithAck('work:submit', { assignmentId: '7-1', submissionId: 's1', result: 1 });
    expect(await gone).toEqual({ seq: 3, assignmentId: '7-1', reason: 'submitted' });

    await other.emitWithAck('session:sync', {});
    expect(strange).toEqual([]);
    expect(server.engine.connections.get(ANNA)).toBe(2);
    expect(server.engine.connections.get(BEN)).toBe(1);
  });

  test('a client that reads nothing is cut off', async () => {
    const slow = await startGateway({ config: { outboundMax: 20, pingTimeoutMs: 60_000 } });
    try {
      const socket = slow.plain('anna');
      await stateOf(socket);
      // Far more, at once, than the connection can take while nobody reads: it piles up in the server.
      const closed = vi.waitFor(() => expect(slow.gateway.connections()).toBe(0));
      const big = { text: 'x'.repeat(1_000_000) };
      for (let i = 1; i <= 60; i++)
        slow.engine.push(ANNA, { kind: 'assigned', assignment: viewOf(i, ANNA, { data: big }) });
      await closed;
      expect(slow.engine.connections.get(ANNA)).toBe(0);
    } finally {
      await slow.close();
    }
  });
});

describe('connections that the server ends', () => {
  test('a revoked token ends the connection at the next message', async () => {
    const socket = server.plain('anna');
    await stateOf(socket);
    server.tokens.tokens.delete('anna');
    const closed = next(socket, 'session:closed');
    const gone = next(socket, 'disconnect');
    expect(await socket.emitWithAck('work:request', { requestId: 'r1' })).toMatchObject({
      ok: false,
      error: { code: 'unauthorized', retryable: false },
    });
    expect(await closed).toMatchObject({ error: { code: 'unauthorized' } });
    expect(await gone).toBe('io server disconnect');
    expect(server.engine.callsOf('request')).toEqual([]);
    expect(server.engine.connections.get(ANNA)).toBe(0);
  });

  test('a token that this process revokes ends its connections at once, and no others', async () => {
    const [left, right, other] = [server.plain('anna'), server.plain('anna'), server.plain('ben')];
    await Promise.all([stateOf(left), stateOf(right), stateOf(other)]);
    const closed = [next(left, 'session:closed'), next(right, 'session:closed')];
    const looksBefore = server.tokens.looks;
    server.tokens.revoke('anna');
    for (const message of await Promise.all(closed)) {
      expect(message).toMatchObject({ error: { code: 'unauthorized', retryable: false } });
    }
    expect(server.tokens.looks - looksBefore).toBe(2);
    expect(await other.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
  });

  test('a revoked token ends a connection that only listens, too', async () => {
    const strict = await startGateway({ config: { tokenSweepMs: 10 } });
    try {
      const [socket, other] = [strict.plain('anna'), strict.plain('ben')];
      await Promise.all([stateOf(socket), stateOf(other)]);
      const closed = next(socket, 'session:closed');
      strict.tokens.tokens.delete('anna');
      expect(await closed).toMatchObject({ error: { code: 'unauthorized' } });
      expect(await other.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
    } finally {
      await strict.close();
    }
  });

  test('tokens that cannot be read end nobody', async () => {
    const socket = server.plain('anna');
    await stateOf(socket);
    server.tokens.lost = new Error('gone');
    expect(await socket.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
  });

  test('a ban ends the connections of that annotator, after telling what was taken', async () => {
    const socket = server.plain('anna');
    await stateOf(socket);
    const revoked = next(socket, 'work:revoked');
    const closed = next(socket, 'session:closed');
    server.engine.push(ANNA, { kind: 'revoked', ref: refOf(1), reason: 'annotator_banned' });
    expect(await revoked).toMatchObject({ reason: 'annotator_banned' });
    expect(await closed).toMatchObject({ error: { code: 'annotator_banned', retryable: false } });
  });

  test('a stopping gateway says so, and plain clients come back by themselves to the next one', async () => {
    const first = await startGateway();
    const socket = first.plain('anna', { reconnection: true });
    await stateOf(socket);
    const closed = next(socket, 'session:closed');
    const gone = next(socket, 'disconnect');
    await first.gateway.close();
    expect(await closed).toMatchObject({ error: { code: 'shutting_down', retryable: true } });
    expect(await gone).toBe('transport close');
    expect(first.engine.connections.get(ANNA)).toBe(0);
    const back = stateOf(socket);
    await first.closeServer();
    const second = await startGateway({ port: first.port });
    await back;
    socket.disconnect();
    await second.close();
  });
});
