import { once } from 'node:events';
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { ANNOTATOR_NAMESPACE } from '../../protocol/wire/index.ts';

const assignment = {
  project: 'sample',
  taskId: '1',
  data: {},
  state: 'active',
  expiresInMs: 45_000,
  maxDurationMs: 60_000,
  attempt: 1,
};

/**
 * A server that loses pushes, which the real one does not do on one node: it says whatever number it is told to. Its
 * state is assignment 7-1 at number 7, and after a sync assignment 7-2 at number 12.
 */
export async function startLossyServer() {
  const httpServer = createServer();
  const io = new Server(httpServer, { transports: ['websocket'] });
  const namespace = io.of(ANNOTATOR_NAMESPACE);
  let syncs = 0;
  namespace.on('connection', (socket) => {
    socket.on('session:sync', (_message: unknown, ack: (answer: unknown) => void) => {
      syncs += 1;
      ack({ ok: true, seq: 12, paused: false, assignments: [{ ...assignment, id: '7-2' }] });
    });
    socket.on('work:heartbeat', (_message: unknown, ack: (answer: unknown) => void) =>
      ack({ ok: true, alive: [], ended: [] }),
    );
    socket.emit('session:state', { seq: 7, paused: false, assignments: [{ ...assignment, id: '7-1' }] });
  });
  httpServer.listen(0, '127.0.0.1');
  await once(httpServer, 'listening');
  const address = httpServer.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
  return {
    url: `http://127.0.0.1:${address.port}`,
    emit: (event: string, body: unknown) => namespace.emit(event, body),
    syncs: () => syncs,
    close: () => io.close(),
  };
}
