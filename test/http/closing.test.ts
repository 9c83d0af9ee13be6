import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { ADMIN_TOKEN, startServer } from './server-under-test.ts';

test('a request that arrives while the server closes is told to come back, as a problem like any other', async () => {
  const server = await startServer();
  const url = new URL(await server.app.listen({ host: '127.0.0.1', port: 0 }));
  const socket = connect(Number(url.port), '127.0.0.1');
  const parts: string[] = [];
  socket.on('data', (bytes) => parts.push(String(bytes)));
  const accepted = once(server.app.server, 'connection');
  await once(socket, 'connect');
  await accepted;
  const over = once(socket, 'close');
  socket.write('GET /api/projects HTTP/1.1\r\nHost: test\r\n');
  // The beginning of the head is there: the connection is not idle, so the close waits for it.
  await vi.waitFor(() => expect(socket.bytesWritten).toBeGreaterThan(0));
  const stopping = server.stop();
  await vi.waitFor(() => expect(server.app.server.listening).toBe(false));
  socket.write(`Authorization: Bearer ${ADMIN_TOKEN}\r\n\r\n`);
  await over;
  const [head = '', body = ''] = parts.join('').split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1.1 503 /);
  expect(head.toLowerCase()).toContain('content-type: application/problem+json');
  expect(JSON.parse(body)).toMatchObject({ code: 'shutting_down', retryable: true });
  await stopping;
});
