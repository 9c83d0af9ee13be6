import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BatonClient, type BatonClientOptions, BatonError, connect } from '../../client/index.ts';
import { ok, refuse } from '../../engine/refusals.ts';
import { ANNA, type GatewayUnderTest, startGateway, stateOf } from './gateway-under-test.ts';
import { startLossyServer } from './lossy-server.ts';
import { NO_WORK, refOf, type ScriptedEngine, viewOf } from './scripted-engine.ts';

let server: GatewayUnderTest;
let clients: BatonClient[];

beforeEach(async () => {
  server = await startGateway();
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await server.close();
});

function open(options: Partial<BatonClientOptions> = {}): BatonClient {
  const client = new BatonClient({
    url: server.url,
    token: 'anna',
    ackTimeoutMs: 2_000,
    backoffBaseMs: 5,
    backoffMaxMs: 20,
    autosaveMs: 5,
    ...options,
  });
  clients.push(client);
  return client;
}

async function live(options: Partial<BatonClientOptions> = {}): Promise<BatonClient> {
  const client = open(options);
  await client.connect();
  return client;
}

function heard<
  Name extends 'assigned' | 'expiring' | 'revoked' | 'draftSaved' | 'draftRefused' | 'connection',
>(client: BatonClient, name: Name) {
  const events: Parameters<Parameters<typeof client.on<Name>>[1]>[0][] = [];
  client.on(name, (event) => events.push(event));
  return events;
}

async function failureOf(promise: Promise<unknown>): Promise<BatonError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof BatonError)) throw new Error(`not a BatonError: ${String(error)}`);
  return error;
}

/** Cuts every connection below Socket.IO, as a network does. */
function cut(): void {
  server.cutConnections();
}

describe('connecting', () => {
  test('a wrong token ends the client with the reason', async () => {
    const error = await failureOf(connect({ url: server.url, token: 'carla' }));
    expect(error).toMatchObject({ code: 'unauthorized', retryable: false });
  });

  test('a refusal for now is tried again until it works', async () => {
    server.tokens.lost = new Error('database gone');
    const client = open();
    const states = heard(client, 'connection');
    const connected = client.connect();
    await vi.waitFor(() => expect(states.some(({ error }) => error?.code === 'unavailable')).toBe(true));
    server.tokens.lost = undefined;
    await connected;
    expect(client.status).toBe('live');
  });

  test('a token is asked for at every connect', async () => {
    const token = vi.fn(async () => 'anna');
    const client = await live({ token });
    const states = heard(client, 'connection');
    cut();
    await vi.waitFor(() => expect(states.at(-1)?.status).toBe('live'));
    expect(token).toHaveBeenCalledTimes(2);
  });

  test('a revoked token closes the client and settles what is pending', async () => {
    server.engine.script({ request: () => new Promise(() => undefined) });
    await server.close();
    let nowMs = 0;
    server = await startGateway({ engine: server.engine, nowMs: () => nowMs });
    const client = await live();
    const states = heard(client, 'connection');
    const pending = failureOf(client.requestWork());
    await vi.waitFor(() => expect(server.engine.callsOf('request').length).toBe(1));
    server.tokens.tokens.delete('anna');
    nowMs = 5_000;
    await failureOf(client.pause());
    expect((await pending).code).toBe('unauthorized');
    expect(states.at(-1)).toMatchObject({ status: 'closed', error: { code: 'unauthorized' } });
    expect((await failureOf(client.requestWork())).code).toBe('unauthorized');
  });
});

describe('work', () => {
  test('request, submit with next, skip, release', async () => {
    const client = await live();
    const work = await client.requestWork({ projects: ['sample'] });
    if (!('assignment' in work)) throw new Error('no work');
    const { receipt, next } = await client.submit(work.assignment.id, { label: 'cat' }, { next: true });
    expect(receipt).toMatchObject({ assignmentId: '7-1', status: 'counted', late: false });
    expect(next).toMatchObject({ assignment: { id: '7-2' } });
    expect(client.assignments.map(({ id }) => id)).toEqual(['7-2']);
    await client.skip('7-2', 'blurred');
    const [third] = [await client.nextAssignment()];
    await client.release(third.id);
    expect(client.assignments).toEqual([]);
    await client.pause();
    expect(client.isPaused).toBe(true);
    await client.resume();
    expect(client.isPaused).toBe(false);
  });

  test('after waiting, work comes as an event, or to whoever waits for it, and never twice', async () => {
    server.engine.script({ request: async () => ok({ waiting: NO_WORK }) });
    const client = await live();
    const assigned = heard(client, 'assigned');
    expect(await client.requestWork()).toEqual({ waiting: { reasons: NO_WORK } });
    expect(client.waiting?.reasons.leased).toBe(12);
    server.engine.push(ANNA, { kind: 'assigned', assignment: viewOf(1, ANNA) });
    await vi.waitFor(() => expect(assigned.map(({ assignment }) => assignment.id)).toEqual(['7-1']));
    expect(client.waiting).toBeUndefined();

    const wanted = client.nextAssignment();
    await vi.waitFor(() => expect(server.engine.callsOf('request').length).toBe(2));
    server.engine.push(ANNA, { kind: 'assigned', assignment: viewOf(2, ANNA) });
    expect((await wanted).id).toBe('7-2');
    expect(assigned.length).toBe(1);
  });

  test('what is found open on connecting is delivered once, also across reconnects', async () => {
    server.engine.lease(ANNA, { draft: { half: true } });
    const client = await live();
    const assigned = heard(client, 'assigned');
    const states = heard(client, 'connection');
    await vi.waitFor(() => expect(assigned.length).toBe(1));
    expect(assigned[0]?.assignment).toMatchObject({ id: '7-1', draft: { half: true } });
    cut();
    await vi.waitFor(() => expect(states.at(-1)?.status).toBe('live'));
    expect(assigned.length).toBe(1);
    expect(client.assignments.map(({ id }) => id)).toEqual(['7-1']);
  });

  test('a request whose answer was lost returns the same assignment, which is not delivered as an event besides', async () => {
    const engine = server.engine;
    const answers = new Map<string, ReturnType<ScriptedEngine['lease']>>();
    engine.script({
      request: async ({ annotatorId, requestId }) => {
        const known = answers.get(requestId);
        if (known !== undefined) return ok({ assignment: known });
        const view = engine.lease(annotatorId);
        answers.set(requestId, view);
        cut();
        return ok({ assignment: view });
      },
    });
    const client = await live();
    const assigned = heard(client, 'assigned');
    const work = await client.requestWork();
    expect(work).toMatchObject({ assignment: { id: '7-1' } });
    expect(answers.size).toBe(1);
    await client.pause();
    expect(assigned).toEqual([]);
  });

  test('an aborted request leaves its assignment to be delivered', async () => {
    let grant: () => void = () => undefined;
    const engine = server.engine;
    engine.script({
      request: ({ annotatorId }) =>
        new Promise((resolve) => {
          grant = () => resolve(ok({ assignment: engine.lease(annotatorId) }));
        }),
    });
    const client = await live();
    const assigned = heard(client, 'assigned');
    const abort = new AbortController();
    const request = failureOf(client.requestWork({ signal: abort.signal }));
    await vi.waitFor(() => expect(engine.callsOf('request').length).toBe(1));
    grant();
    abort.abort();
    expect((await request).code).toBe('aborted');
    await vi.waitFor(() => expect(assigned.map(({ assignment }) => assignment.id)).toEqual(['7-1']));
  });

  test('a gap in the numbers makes the client ask for the whole state', async () => {
    const lossy = await startLossyServer();
    try {
      const client = await live({ url: lossy.url });
      const expiring = heard(client, 'expiring');
      const revoked = heard(client, 'revoked');
      expect(client.assignments.map(({ id }) => id)).toEqual(['7-1']);
      lossy.emit('work:expiring', { seq: 8, assignmentId: '7-1', expiresInMs: 9_000 });
      await vi.waitFor(() => expect(expiring.length).toBe(1));
      expect(lossy.syncs()).toBe(0);
      lossy.emit('work:expiring', { seq: 10, assignmentId: '7-1', expiresInMs: 8_000 });
      await vi.waitFor(() => expect(client.assignments.map(({ id }) => id)).toEqual(['7-2']));
      expect(revoked).toEqual([{ assignmentId: '7-1', reason: 'ended' }]);
      expect(lossy.syncs()).toBe(1);
    } finally {
      await lossy.close();
    }
  });
});

describe('submitting', () => {
  test('a submit whose first answer was lost is repeated under the same id and counted once', async () => {
    const engine = server.engine;
    const receipts = new Map<string, number>();
    engine.script({
      submit: async ({ annotatorId, ref, submissionId }) => {
        receipts.set(submissionId, (receipts.get(submissionId) ?? 0) + 1);
        engine.drop(annotatorId, ref);
        if (receipts.get(submissionId) === 1) cut();
        return ok({ receipt: { assignment: ref, submissionId, status: 'counted', late: false } });
      },
    });
    const client = await live();
    const revoked = heard(client, 'revoked');
    const { id } = await client.nextAssignment();
    const { receipt } = await client.submit(id, { label: 'cat' });
    expect([...receipts]).toEqual([[receipt.submissionId, 2]]);
    expect(revoked).toEqual([]);
  });

  test('a retryable refusal is repeated after the time the server gave, with the same id', async () => {
    const delays: number[] = [];
    const answers = [refuse('busy', undefined, { retryAfterMs: 321 }), refuse('unavailable')];
    const engine = server.engine;
    engine.script({
      submit: async ({ ref, submissionId }) =>
        answers.shift() ?? ok({ receipt: { assignment: ref, submissionId, status: 'counted', late: false } }),
    });
    const client = await live({
      surroundings: {
        random: () => 0,
        setTimer: (delayMs, callback) => {
          delays.push(delayMs);
          const timer = setTimeout(callback, delayMs === 321 ? 1 : delayMs);
          return () => clearTimeout(timer);
        },
      },
    });
    const { id } = await client.nextAssignment();
    await client.submit(id, 1);
    const ids = engine.callsOf('submit').map(({ args }) => args[0]);
    expect(ids.length).toBe(3);
    expect(new Set(ids.map((args) => JSON.stringify(args))).size).toBe(1);
    expect(delays).toContain(321);
  });

  test('patience ends; the same result is then the same submission, another result is another', async () => {
    server.engine.script({ submit: async () => refuse('unavailable') });
    const client = await live({ submitPatienceMs: 20 });
    const { id } = await client.nextAssignment();
    expect(await failureOf(client.submit(id, { label: 'cat' }))).toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
    await failureOf(client.submit(id, { label: 'cat' }));
    await failureOf(client.submit(id, { label: 'dog' }));
    const ids = (result: string) =>
      new Set(
        server.engine
          .callsOf('submit')
          .map(({ args }) => JSON.stringify(args))
          .filter((args) => args.includes(result))
          .map((args) => /"submissionId":"(\w+)"/.exec(args)?.[1]),
      );
    expect([ids('cat').size, ids('dog').size]).toEqual([1, 1]);
    expect([...ids('cat')][0]).not.toBe([...ids('dog')][0]);
    expect(client.assignments.map((assignment) => assignment.id)).toEqual([id]);
  });

  test('a result that does not fit is refused with the paths, and the lease and the unsaved draft are kept', async () => {
    const details = [{ path: '/label', message: 'must be string' }];
    server.engine.script({ submit: async () => refuse('invalid_result', undefined, { details }) });
    const client = await live({ autosaveMs: 60_000, autosaveMsMax: 60_000 });
    const saved = heard(client, 'draftSaved');
    const { id } = await client.nextAssignment();
    client.saveDraft(id, { label: 5 });
    const error = await failureOf(client.submit(id, { label: 5 }));
    expect(error).toMatchObject({ code: 'invalid_result', retryable: false, details });
    await vi.waitFor(() => expect(saved).toEqual([{ assignmentId: id, draft: { label: 5 } }]));
    expect(client.assignments.map((assignment) => assignment.id)).toEqual([id]);
  });

  test('a revocation while the submit is under way is told, and the submit fails with the lease', async () => {
    const engine = server.engine;
    engine.script({
      submit: async ({ annotatorId, ref }) => {
        engine.drop(annotatorId, ref);
        engine.push(annotatorId, { kind: 'revoked', ref, reason: 'revoked' });
        return refuse('lease_ended');
      },
    });
    const client = await live();
    const revoked = heard(client, 'revoked');
    const { id } = await client.nextAssignment();
    expect((await failureOf(client.submit(id, 1))).code).toBe('lease_ended');
    expect(revoked).toEqual([{ assignmentId: id, reason: 'revoked' }]);
    expect(client.assignments).toEqual([]);
  });

  test('a result too large is refused here, because the server would only hang up', async () => {
    const client = await live();
    const { id } = await client.nextAssignment();
    expect((await failureOf(client.submit(id, 'x'.repeat(2_000_000)))).code).toBe('too_large');
    expect(client.status).toBe('live');
  });

  test('closing settles what is pending', async () => {
    server.engine.script({
      submit: () => new Promise(() => undefined),
      request: () => new Promise(() => undefined),
    });
    const abort = new AbortController();
    const client = await live({ signal: abort.signal });
    const pending = [
      failureOf(client.submit('7-1', 1)),
      failureOf(client.nextAssignment()),
      failureOf(client.requestWork()),
    ];
    await vi.waitFor(() => expect(server.engine.callsOf('request').length).toBe(2));
    abort.abort();
    expect((await Promise.all(pending)).map(({ code }) => code)).toEqual(['closed', 'closed', 'closed']);
    expect((await failureOf(client.connect())).code).toBe('closed');
  });
});

describe('drafts', () => {
  test('only the last of many quick drafts is saved', async () => {
    const client = await live({ autosaveMs: 20 });
    const saved = heard(client, 'draftSaved');
    const { id } = await client.nextAssignment();
    for (let i = 1; i <= 50; i++) client.saveDraft(id, { words: i });
    expect(client.isDraftUnsaved(id)).toBe(true);
    await vi.waitFor(() => expect(saved).toEqual([{ assignmentId: id, draft: { words: 50 } }]));
    expect(server.engine.callsOf('draft').length).toBe(1);
    expect(client.isDraftUnsaved(id)).toBe(false);
    expect(client.assignments[0]?.draft).toEqual({ words: 50 });
  });

  test('a draft made while offline is saved when the connection is back', async () => {
    const client = await live();
    const states = heard(client, 'connection');
    const { id } = await client.nextAssignment();
    const port = server.port;
    const engine = server.engine;
    await server.closeServer();
    await vi.waitFor(() => expect(states.some(({ status }) => status === 'offline')).toBe(true));
    client.saveDraft(id, { words: 1 });
    client.saveDraft(id, { words: 2 });
    server = await startGateway({ engine, port });
    await client.flushDrafts();
    expect(engine.held.get(ANNA)?.[0]?.draft).toEqual({ words: 2 });
  });

  test('a draft is tried again when it could not be saved, and given up when it never will be', async () => {
    const answers = [refuse('unavailable'), refuse('lease_ended')];
    server.engine.script({ draft: async () => answers.shift() ?? ok({ saved: true }) });
    const client = await live();
    const refused = heard(client, 'draftRefused');
    const { id } = await client.nextAssignment();
    client.saveDraft(id, 1);
    await vi.waitFor(() =>
      expect(refused).toMatchObject([{ assignmentId: id, error: { code: 'lease_ended' } }]),
    );
    expect(client.isDraftUnsaved(id)).toBe(false);
  });

  test('a draft that is not JSON, or too large, is refused at once', async () => {
    const client = await live();
    expect(() => client.saveDraft('7-1', 'x'.repeat(300_000))).toThrowError(
      expect.objectContaining({ code: 'too_large' }),
    );
    expect(() => client.saveDraft('7-1', 'a\u0000')).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    );
  });
});

describe('heartbeats', () => {
  test('held leases are renewed at a third of their time, in one message, and an end is told', async () => {
    const timers: { delayMs: number; callback: () => void }[] = [];
    let nowMs = 0;
    const engine = server.engine;
    const client = await live({
      surroundings: {
        nowMs: () => nowMs,
        setTimer: (delayMs, callback) => {
          const timer = { delayMs, callback };
          timers.push(timer);
          return () => {
            const index = timers.indexOf(timer);
            if (index >= 0) timers.splice(index, 1);
          };
        },
      },
    });
    const revoked = heard(client, 'revoked');
    await client.requestWork();
    await client.requestWork();
    const due = () => timers.find(({ delayMs }) => delayMs === 15_000);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([15_000]);
    nowMs = 15_000;
    const first = due();
    timers.length = 0;
    first?.callback();
    await vi.waitFor(() => expect(due()).toBeDefined());
    expect(engine.callsOf('heartbeat').map(({ args }) => args[1])).toEqual([[refOf(1), refOf(2)]]);
    expect(client.assignments.map(({ expiresInMs }) => expiresInMs)).toEqual([45_000, 45_000]);

    engine.drop(ANNA, refOf(1));
    nowMs = 30_000;
    due()?.callback();
    await vi.waitFor(() => expect(revoked).toEqual([{ assignmentId: '7-1', reason: 'ended' }]));
    client.close();
    expect(timers.length).toBe(0);
  });

  test('an offer is accepted, not renewed', async () => {
    server.engine.script({
      request: async ({ annotatorId }) =>
        ok({ assignment: server.engine.lease(annotatorId, { state: 'offered' }) }),
    });
    const client = await live();
    const { id } = await client.nextAssignment();
    await client.accept(id);
    expect(client.assignments[0]?.state).toBe('active');
  });
});

test('a plain tab and the client share a lease: what one ends the other loses', async () => {
  const client = await live();
  const revoked = heard(client, 'revoked');
  const tab = server.plain('anna');
  await stateOf(tab);
  const { id } = await client.nextAssignment();
  await tab.emitWithAck('work:submit', { assignmentId: id, submissionId: 'tab', result: 1 });
  await vi.waitFor(() => expect(revoked).toEqual([{ assignmentId: id, reason: 'submitted' }]));
});
