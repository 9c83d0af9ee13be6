import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Traffic } from '../../client/index.ts';
import { refuse } from '../../engine/refusals.ts';
import { ClientsUnderTest, failureOf } from './clients-under-test.ts';
import { type GatewayUnderTest, startGateway } from './gateway-under-test.ts';

let server: GatewayUnderTest;
const clients = new ClientsUnderTest(() => server.url);

beforeEach(async () => {
  server = await startGateway();
});

afterEach(async () => {
  clients.close();
  await server.close();
});

test('whoever asks is told of every message, what came of each attempt, and of every push', async () => {
  const traffic: Traffic[] = [];
  const answers = [refuse('unavailable'), refuse('lease_ended')];
  server.engine.script({ submit: async () => answers.shift() ?? refuse('lease_ended') });
  const client = await clients.live({ onTraffic: (one) => traffic.push(one) });
  const { id } = await client.nextAssignment();
  await failureOf(client.submit(id, { label: 'cat' }));
  const submits = traffic.filter((one) => one.kind === 'sent' && one.event === 'work:submit');
  expect(submits).toHaveLength(2);
  expect(traffic[0]).toMatchObject({ kind: 'pushed', event: 'session:state' });
  const outcomes = submits.map((sent) =>
    traffic.find((one) => one.kind === 'failed' && sent.kind === 'sent' && one.attempt === sent.attempt),
  );
  expect(outcomes).toMatchObject([{ error: { code: 'unavailable' } }, { error: { code: 'lease_ended' } }]);
  expect(traffic).toContainEqual(expect.objectContaining({ kind: 'answered' }));
});

test('an attempt that is under way when the client is closed is told of as closed', async () => {
  const traffic: Traffic[] = [];
  server.engine.script({ submit: () => new Promise(() => undefined) });
  const client = await clients.live({ onTraffic: (one) => traffic.push(one) });
  const { id } = await client.nextAssignment();
  const submitting = failureOf(client.submit(id, {}));
  client.close();
  expect((await submitting).code).toBe('closed');
  expect(traffic.at(-1)).toMatchObject({ kind: 'failed', error: { code: 'closed' } });
});
