import { Manager } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SessionState } from '../../engine/door.ts';
import { ok, type Result } from '../../engine/refusals.ts';
import { type GatewayUnderTest, next, refusalOf, startGateway, stateOf } from './gateway-under-test.ts';

describe('while others are let in', () => {
  let narrow: GatewayUnderTest;
  let stranger: Manager;

  beforeEach(async () => {
    const config = { pendingPerAddressMax: 1, linePerAddressMax: 1, lineWaitMsMax: 10_000 };
    narrow = await startGateway({ config });
    // Connected below Socket.IO's namespaces: no token was asked for yet.
    const options = { transports: ['websocket'], autoConnect: false, reconnection: false };
    stranger = new Manager(narrow.url, options);
    await new Promise((resolve) => stranger.open(resolve));
  });
  afterEach(() => narrow.close());

  test('a connection waits in line, without an error, until there is room', async () => {
    const waiting = narrow.plain('ben');
    const refusals: unknown[] = [];
    waiting.on('connect_error', (error) => refusals.push(error));
    const greeted = stateOf(waiting);
    // Sent after it on a connection of its own, and answered: the one in line is still there.
    await refusalOf(narrow.plain('anna'));
    expect(narrow.tokens.looks).toBe(0);
    stranger.engine.close();
    await greeted;
    expect(refusals).toEqual([]);
    await stateOf(narrow.plain('anna'));
  });

  test('one for whom there is no room in line hears so, and when to come back', async () => {
    narrow.plain('ben');
    expect(await refusalOf(narrow.plain('anna'))).toMatchObject({
      code: 'busy',
      retryable: true,
      retryAfterMs: expect.any(Number),
    });
    expect(narrow.tokens.looks).toBe(0);
    expect(narrow.gateway.connections()).toBe(0);
  });

  test('who waits in line when the gateway stops is sent away', async () => {
    const waiting = narrow.plain('ben');
    const sentAway = next(waiting, 'connect_error');
    await refusalOf(narrow.plain('anna'));
    await narrow.gateway.close();
    await sentAway;
  });
});

test('nobody waits in line for ever: they are told to come back', async () => {
  const narrow = await startGateway({ config: { pendingPerAddressMax: 1, lineWaitMsMax: 1 } });
  try {
    let answer: (state: Result<SessionState>) => void = () => undefined;
    narrow.engine.script({
      connect: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const slow = stateOf(narrow.plain('anna'));
    await vi.waitFor(() => expect(narrow.engine.callsOf('connect').length).toBe(1));
    expect(await refusalOf(narrow.plain('ben'))).toMatchObject({ code: 'busy', retryable: true });
    answer(ok({ assignments: [], paused: false }));
    await slow;
  } finally {
    await narrow.close();
  }
});
