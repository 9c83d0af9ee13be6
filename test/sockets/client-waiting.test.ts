import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ok, refuse } from '../../engine/refusals.ts';
import { ClientsUnderTest, failureOf, heard } from './clients-under-test.ts';
import { ANNA, type GatewayUnderTest, startGateway } from './gateway-under-test.ts';
import { NO_WORK } from './scripted-engine.ts';

let server: GatewayUnderTest;
const clients = new ClientsUnderTest(() => server.url);

beforeEach(async () => {
  server = await startGateway();
});

afterEach(async () => {
  clients.close();
  await server.close();
});

test('asked before it is connected, it gives out what is held before it asks for more', async () => {
  const held = server.engine.lease(ANNA);
  const client = clients.open();
  const connected = client.connect();
  expect((await client.nextAssignment()).taskId).toBe(String(held.taskId));
  await connected;
  expect(server.engine.callsOf('request')).toEqual([]);
});

test('who waits asks again when the server has forgotten it', async () => {
  const { engine } = server;
  engine.script({ request: async () => ok({ waiting: NO_WORK }) });
  const client = await clients.live();
  const wanted = client.nextAssignment();
  await vi.waitFor(() => expect(client.waiting).toBeDefined());
  // A state without `waiting` after the reconnect: as from a server that was started again.
  engine.script({});
  const states = heard(client, 'connection');
  server.cutConnections();
  expect((await wanted).id).toBe('7-1');
  expect(states.at(-1)?.status).toBe('live');
  expect(engine.callsOf('request')).toHaveLength(2);
});

test('a push that overtakes the request, and fills the capacity, is what the request was for', async () => {
  const { engine } = server;
  engine.script({
    request: async ({ annotatorId }) => {
      engine.lease(annotatorId);
      return refuse('at_capacity');
    },
  });
  const client = await clients.live();
  expect((await client.nextAssignment()).id).toBe('7-1');
  engine.script({ request: async () => refuse('at_capacity') });
  expect((await failureOf(client.nextAssignment())).code).toBe('at_capacity');
});
