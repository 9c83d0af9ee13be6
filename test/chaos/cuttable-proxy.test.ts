import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CuttableProxy } from '../replay/cuttable-proxy.ts';

let echo: Server;
let proxy: CuttableProxy;
let client: Socket;
let heard: string;

beforeEach(async () => {
  echo = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  proxy = await CuttableProxy.start(address.port);
  client = connect(proxy.port, '127.0.0.1');
  heard = '';
  client.on('data', (bytes) => {
    heard += String(bytes);
  });
  client.on('error', () => undefined);
  await once(client, 'connect');
});

afterEach(async () => {
  client.destroy();
  await proxy.stop();
  echo.close();
});

test('everything passes, in order, more than it holds at a time', async () => {
  const text = 'abcdefghij'.repeat(200_000);
  client.write(text);
  await vi.waitFor(() => expect(heard.length).toBe(text.length), { timeout: 10_000 });
  expect(heard).toBe(text);
});

test('slow: it arrives later, and in order when it is no longer slow', async () => {
  proxy.slow(100);
  const sentMs = performance.now();
  client.write('one ');
  await vi.waitFor(() => expect(heard).toBe('one '), { timeout: 5_000 });
  // There and back.
  expect(performance.now() - sentMs).toBeGreaterThanOrEqual(199);
  client.write('two ');
  proxy.heal();
  client.write('three');
  await vi.waitFor(() => expect(heard).toBe('one two three'), { timeout: 5_000 });
});

test('hung: nothing arrives and nothing ends, until it is healed', async () => {
  proxy.hang();
  client.write('held back');
  const other = connect(proxy.port, '127.0.0.1');
  await once(other, 'connect');
  expect(heard).toBe('');
  expect(client.destroyed || other.destroyed).toBe(false);
  proxy.heal();
  await vi.waitFor(() => expect(heard).toBe('held back'), { timeout: 5_000 });
  other.destroy();
});

test('cut: both sides lose their connection, and a new one works', async () => {
  proxy.hang();
  proxy.cut();
  await new Promise((resolve) => client.once('close', resolve));
  proxy.heal();
  client = connect(proxy.port, '127.0.0.1');
  client.on('data', (bytes) => {
    heard += String(bytes);
  });
  client.write('again');
  await vi.waitFor(() => expect(heard).toBe('again'), { timeout: 5_000 });
});
