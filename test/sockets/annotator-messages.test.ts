import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { refuse } from '../../engine/refusals.ts';
import { ERRORS } from '../../protocol/errors.ts';
import { ANNA, type GatewayUnderTest, next, startGateway, stateOf } from './gateway-under-test.ts';
import { NO_WORK } from './scripted-engine.ts';

let server: GatewayUnderTest;

beforeEach(async () => {
  server = await startGateway();
});

afterEach(async () => {
  await server.close();
});

async function connected() {
  const socket = server.plain('anna');
  await stateOf(socket);
  return socket;
}

describe('good messages are answered as the protocol says', () => {
  test('a request is answered with an assignment', async () => {
    const socket = await connected();
    expect(await socket.emitWithAck('work:request', { requestId: 'r1', projects: ['sample'] })).toEqual({
      ok: true,
      assignment: {
        id: '7-1',
        project: 'sample',
        taskId: '1001',
        data: { text: 'task 1' },
        state: 'active',
        expiresInMs: 45_000,
        maxDurationMs: 1_800_000,
        attempt: 1,
      },
    });
    expect(server.engine.callsOf('request')[0]?.args).toEqual([
      { annotatorId: ANNA, requestId: 'r1', projects: ['sample'] },
    ]);
  });

  test('a request without work is answered with the reasons', async () => {
    server.engine.script({ request: async () => ({ ok: true, value: { waiting: NO_WORK } }) });
    const socket = await connected();
    expect(await socket.emitWithAck('work:request', { requestId: 'r1' })).toEqual({
      ok: true,
      waiting: { reasons: NO_WORK },
    });
  });

  test('a submit is answered with the receipt and, with next, the next work', async () => {
    const socket = await connected();
    await socket.emitWithAck('work:request', { requestId: 'r1' });
    const answer = await socket.emitWithAck('work:submit', {
      assignmentId: '7-1',
      submissionId: 's1',
      result: { label: 'cat' },
      next: true,
    });
    expect(answer).toMatchObject({
      ok: true,
      receipt: { assignmentId: '7-1', submissionId: 's1', status: 'counted', late: false },
      next: { assignment: { id: '7-2' } },
    });
  });

  test('the other messages', async () => {
    const socket = await connected();
    await socket.emitWithAck('work:request', { requestId: 'r1' });
    expect(await socket.emitWithAck('work:accept', { assignmentId: '7-1' })).toEqual({
      ok: true,
      expiresInMs: 45_000,
    });
    expect(await socket.emitWithAck('work:heartbeat', { assignmentIds: ['7-1', '7-99'] })).toEqual({
      ok: true,
      alive: [{ assignmentId: '7-1', expiresInMs: 45_000 }],
      ended: ['7-99'],
    });
    expect(await socket.emitWithAck('work:draft', { assignmentId: '7-1', draft: { half: true } })).toEqual({
      ok: true,
      saved: true,
    });
    expect(await socket.emitWithAck('session:sync', {})).toMatchObject({
      ok: true,
      seq: 0,
      paused: false,
      assignments: [{ id: '7-1', draft: { half: true } }],
    });
    expect(await socket.emitWithAck('work:skip', { assignmentId: '7-1', reason: 'blurred' })).toEqual({
      ok: true,
      ended: true,
    });
    expect(await socket.emitWithAck('work:release', { assignmentId: '7-1' })).toMatchObject({
      ok: false,
      error: { code: 'unknown_assignment', retryable: false },
    });
    expect(await socket.emitWithAck('session:pause')).toEqual({ ok: true, paused: true });
    expect(await socket.emitWithAck('session:resume', {})).toEqual({
      ok: true,
      seq: 0,
      paused: false,
      assignments: [],
    });
  });

  test('keys unknown here are ignored', async () => {
    const socket = await connected();
    expect(await socket.emitWithAck('work:request', { requestId: 'r1', mood: 'sunny' })).toMatchObject({
      ok: true,
    });
    expect(server.engine.callsOf('request')[0]?.args).toEqual([{ annotatorId: ANNA, requestId: 'r1' }]);
  });

  test('an engine refusal keeps its code, details and retry time', async () => {
    const details = [{ path: '/label', message: 'must be string' }];
    server.engine.script({
      submit: async () => refuse('invalid_result', 'No fit.', { details }),
      draft: async () => refuse('busy', undefined, { retryAfterMs: 750 }),
    });
    const socket = await connected();
    const submit = { assignmentId: '7-1', submissionId: 's1', result: 1 };
    expect(await socket.emitWithAck('work:submit', submit)).toEqual({
      ok: false,
      error: { code: 'invalid_result', message: 'No fit.', retryable: false, details },
    });
    expect(await socket.emitWithAck('work:draft', { assignmentId: '7-1', draft: 1 })).toEqual({
      ok: false,
      error: { code: 'busy', message: ERRORS.busy.says, retryable: true, retryAfterMs: 750 },
    });
  });
});

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

const submit = (result: unknown) => ({ assignmentId: '7-1', submissionId: 's1', result });
const RESULT_BYTES_MAX = 256 * 1024;

const BAD_MESSAGES: readonly [what: string, event: string, payload: unknown, code: string, path?: string][] =
  [
    ['text for an object', 'work:request', 'give me work', 'malformed'],
    ['an array for an object', 'work:request', [], 'malformed'],
    ['nothing at all', 'work:request', undefined, 'malformed', '/requestId'],
    ['an empty request id', 'work:request', { requestId: '' }, 'malformed', '/requestId'],
    ['a request id too long', 'work:request', { requestId: 'x'.repeat(101) }, 'malformed', '/requestId'],
    [
      'a request id with a line break at its end',
      'work:request',
      { requestId: 'x\n' },
      'malformed',
      '/requestId',
    ],
    ['a request id of spaces', 'work:request', { requestId: 'a b' }, 'malformed', '/requestId'],
    ['a request id that is a number', 'work:request', { requestId: 5 }, 'malformed', '/requestId'],
    ['no projects', 'work:request', { requestId: 'r', projects: [] }, 'malformed', '/projects'],
    [
      'too many projects',
      'work:request',
      { requestId: 'r', projects: Array(101).fill('p') },
      'malformed',
      '/projects',
    ],
    [
      'a slug of another world',
      'work:request',
      { requestId: 'r', projects: ['../etc'] },
      'malformed',
      '/projects/0',
    ],
    ['an assignment id of words', 'work:accept', { assignmentId: 'mine' }, 'malformed', '/assignmentId'],
    ['an assignment id below one', 'work:accept', { assignmentId: '0-1' }, 'malformed', '/assignmentId'],
    [
      'an assignment id above what is safe',
      'work:accept',
      { assignmentId: `7-${'9'.repeat(16)}` },
      'malformed',
      '/assignmentId',
    ],
    ['a heartbeat for nothing', 'work:heartbeat', { assignmentIds: [] }, 'malformed', '/assignmentIds'],
    [
      'a heartbeat for too much',
      'work:heartbeat',
      { assignmentIds: Array(101).fill('7-1') },
      'malformed',
      '/assignmentIds',
    ],
    ['no draft', 'work:draft', { assignmentId: '7-1' }, 'malformed', '/draft'],
    ['no result', 'work:submit', { assignmentId: '7-1', submissionId: 's1' }, 'malformed', '/result'],
    ['next that is no boolean', 'work:submit', { ...submit(1), next: 'yes' }, 'malformed', '/next'],
    [
      'a reason too long',
      'work:skip',
      { assignmentId: '7-1', reason: 'x'.repeat(501) },
      'malformed',
      '/reason',
    ],
    ['a reason with U+0000', 'work:skip', { assignmentId: '7-1', reason: 'a\u0000' }, 'malformed', '/reason'],
    ['a result too large', 'work:submit', submit('x'.repeat(RESULT_BYTES_MAX - 1)), 'too_large', '/result'],
    [
      'a result too large in bytes only',
      'work:submit',
      submit('ä'.repeat(RESULT_BYTES_MAX / 2)),
      'too_large',
      '/result',
    ],
    [
      'a draft too large',
      'work:draft',
      { assignmentId: '7-1', draft: Array(RESULT_BYTES_MAX).fill(0) },
      'too_large',
      '/draft',
    ],
    ['a result too deep', 'work:submit', submit(nested(65)), 'malformed', '/result'],
    ['a result with U+0000', 'work:submit', submit({ text: 'a\u0000b' }), 'malformed', '/result'],
    [
      'a result with half a surrogate pair',
      'work:submit',
      submit({ text: '\ud800' }),
      'malformed',
      '/result',
    ],
    ['a binary result', 'work:submit', submit(Buffer.from('GIF89a')), 'malformed', '/result'],
    [
      'a result with __proto__ inside',
      'work:submit',
      submit(JSON.parse('{"a":{"__proto__":{"admin":true}}}')),
      'malformed',
      '/result',
    ],
    [
      'a message with __proto__',
      'work:request',
      JSON.parse('{"requestId":"r","__proto__":{"admin":true}}'),
      'malformed',
    ],
    ['an unknown message', 'work:steal', { assignmentId: '7-1' }, 'unknown_message'],
    ['a message named like an object property', 'toString', {}, 'unknown_message'],
    ['a message named __proto__', '__proto__', {}, 'unknown_message'],
    ['a message named error', 'error', {}, 'unknown_message'],
  ];

describe('bad messages', () => {
  test.each(BAD_MESSAGES)(
    '%s is refused, reaches no engine, and the connection goes on',
    async (_what, event, payload, code, path) => {
      const socket = await connected();
      const calls = server.engine.calls.length;
      const answer = await socket.emitWithAck(event, payload);
      expect(answer).toMatchObject({ ok: false, error: { code, retryable: false } });
      if (path !== undefined) expect(answer.error.details[0].path).toBe(path);
      expect(server.engine.calls.length).toBe(calls);
      expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false);
      expect(await socket.emitWithAck('work:request', { requestId: 'r2' })).toMatchObject({ ok: true });
    },
  );

  test('a result of exactly the limit is taken', async () => {
    const socket = await connected();
    await socket.emitWithAck('work:request', { requestId: 'r1' });
    expect(await socket.emitWithAck('work:submit', submit('x'.repeat(RESULT_BYTES_MAX - 2)))).toMatchObject({
      ok: true,
    });
  });

  test('a message beyond what is read closes the connection and nothing else', async () => {
    const socket = await connected();
    const bystander = await connected();
    const gone = next<string>(socket, 'disconnect');
    socket.emit('work:submit', submit('x'.repeat(1024 * 1024 + 1)));
    await gone;
    expect(await bystander.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
    await vi.waitFor(() => expect(server.engine.connections.get(ANNA)).toBe(1));
  });

  test('a message without an ack, good or bad, is survived', async () => {
    const socket = await connected();
    socket.emit('work:request', { requestId: 'r1' });
    socket.emit('work:request', 'nonsense');
    socket.emit('work:steal');
    socket.emit('error', { boom: true });
    expect(await socket.emitWithAck('session:sync')).toMatchObject({
      ok: true,
      assignments: [{ id: '7-1' }],
    });
  });

  test("somebody else's assignment is unknown", async () => {
    const socket = await connected();
    await socket.emitWithAck('work:request', { requestId: 'r1' });
    const other = server.plain('ben');
    await stateOf(other);
    expect(await other.emitWithAck('work:submit', submit(1))).toMatchObject({
      ok: false,
      error: { code: 'unknown_assignment' },
    });
    expect(await other.emitWithAck('work:draft', { assignmentId: '7-1', draft: 1 })).toMatchObject({
      ok: false,
      error: { code: 'unknown_assignment' },
    });
  });

  test('an exception is answered with internal and logged without what was sent', async () => {
    server.engine.script({
      submit: async () => {
        throw new Error('insert failed: result = "my secret answer"');
      },
    });
    const socket = await connected();
    expect(await socket.emitWithAck('work:submit', submit('my secret answer'))).toMatchObject({
      ok: false,
      error: { code: 'internal', retryable: true },
    });
    const line = server.log.find(({ level }) => level === 'error');
    expect(line).toMatchObject({
      message: 'message failed',
      fields: { event: 'work:submit', annotatorId: ANNA },
    });
    expect(JSON.stringify(server.log)).not.toContain('secret');
  });
});

describe('limits of one connection', () => {
  test('messages beyond the rate are refused with a time to wait, and go through after it', async () => {
    let nowMs = 0;
    const limited = await startGateway({
      config: { messagesPerSecond: 10, messageBurst: 3 },
      nowMs: () => nowMs,
    });
    try {
      const socket = limited.plain('anna');
      await stateOf(socket);
      const answers = await Promise.all(
        Array.from({ length: 4 }, () => socket.emitWithAck('session:sync', {})),
      );
      expect(answers.map((answer) => answer.ok)).toEqual([true, true, true, false]);
      expect(answers[3].error).toMatchObject({ code: 'rate_limited', retryable: true, retryAfterMs: 100 });
      nowMs = 100;
      expect(await socket.emitWithAck('session:sync', {})).toMatchObject({ ok: true });
    } finally {
      await limited.close();
    }
  });

  test('a client that goes on flooding is closed and told to stay away for a while', async () => {
    const limited = await startGateway({ config: { messageBurst: 1, rateRefusalsMax: 5 }, nowMs: () => 0 });
    try {
      const socket = limited.plain('anna');
      await stateOf(socket);
      const closed = next(socket, 'session:closed');
      for (let i = 0; i < 20; i++) socket.emit('session:sync', {});
      expect(await closed).toMatchObject({
        error: { code: 'rate_limited', retryable: true, retryAfterMs: 10_000 },
      });
    } finally {
      await limited.close();
    }
  });

  test('messages beyond those that may wait for an answer are busy', async () => {
    const limited = await startGateway({ config: { inFlightMax: 2 } });
    try {
      const waiting: (() => void)[] = [];
      limited.engine.script({
        pause: () =>
          new Promise((resolve) => waiting.push(() => resolve({ ok: true, value: { paused: true } }))),
      });
      const socket = limited.plain('anna');
      await stateOf(socket);
      const first = socket.emitWithAck('session:pause', {});
      const second = socket.emitWithAck('session:pause', {});
      expect(await socket.emitWithAck('session:pause', {})).toMatchObject({
        ok: false,
        error: { code: 'busy', retryAfterMs: 500 },
      });
      for (const answer of waiting) answer();
      expect(await Promise.all([first, second])).toEqual([
        { ok: true, paused: true },
        { ok: true, paused: true },
      ]);
    } finally {
      await limited.close();
    }
  });
});
