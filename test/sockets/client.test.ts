import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { connect } from '../../client/index.ts';
import { ok, refuse } from '../../engine/refusals.ts';
import { ClientsUnderTest, failureOf, heard } from './clients-under-test.ts';
import { ANNA, type GatewayUnderTest, startGateway, stateOf } from './gateway-under-test.ts';
import { startLossyServer } from './lossy-server.ts';
import { NO_WORK, type ScriptedEngine, viewOf } from './scripted-engine.ts';

let server: GatewayUnderTest;
const clients = new ClientsUnderTest(() => server.url);
const { open, live } = clients;

beforeEach(async () => {
  server = await startGateway();
});

afterEach(async () => {
  clients.close();
  await server.close();
});

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

test('a plain tab and the client share a lease: what one ends the other loses', async () => {
  const client = await live();
  const revoked = heard(client, 'revoked');
  const tab = server.plain('anna');
  await stateOf(tab);
  const { id } = await client.nextAssignment();
  await tab.emitWithAck('work:submit', { assignmentId: id, submissionId: 'tab', result: 1 });
  await vi.waitFor(() => expect(revoked).toEqual([{ assignmentId: id, reason: 'submitted' }]));
});
