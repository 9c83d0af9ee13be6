import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ok, refuse } from '../../engine/refusals.ts';
import { ClientsUnderTest, heard } from './clients-under-test.ts';
import { ANNA, type GatewayUnderTest, startGateway } from './gateway-under-test.ts';
import { refOf } from './scripted-engine.ts';

let server: GatewayUnderTest;
const clients = new ClientsUnderTest(() => server.url);
const { live } = clients;

beforeEach(async () => {
  server = await startGateway();
});

afterEach(async () => {
  clients.close();
  await server.close();
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
