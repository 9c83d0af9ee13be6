/** A server in a process of its own: the engine alone, the engine behind its gateway, or a bare Socket.IO echo. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { createAdmin } from '../engine/admin/index.ts';
import type { AnnotatorId } from '../engine/ids.ts';
import { openDatabase } from '../engine/index.ts';
import { createAuthenticator } from '../gateway/auth/authenticator.ts';
import { createSockets } from '../gateway/sockets/index.ts';
import { ANNOTATOR_NAMESPACE } from '../protocol/wire/index.ts';
import { serveParent } from './child.ts';
import { Crowd } from './crowd.ts';
import { startEngineNode } from './engine-node.ts';

export type ServerOrder =
  | { readonly start: 'gateway'; readonly databaseUrl: string }
  | { readonly start: 'engine'; readonly databaseUrl: string }
  | { readonly start: 'echo' }
  /** Cycles by a crowd in the server's own process. */
  | {
      readonly work: {
        readonly cycles: number;
        readonly project: string;
        readonly annotatorIds: readonly AnnotatorId[];
      };
    }
  | { readonly read: 'usage' };

export interface ServerAnswer {
  /** 0 when it listens on none. */
  readonly port: number;
  readonly cpuMs: number;
  /** As the kernel counts it. */
  readonly residentBytes: number;
  /** JavaScript objects that are reachable: after a full collection, if the process was started with --expose-gc. */
  readonly heapBytes: number;
  readonly peakBytes: number;
  readonly connections: number;
}

interface Running {
  readonly port: number;
  readonly connections: () => number;
  readonly node?: Awaited<ReturnType<typeof startEngineNode>>;
  readonly stop: () => Promise<void>;
}

async function startGateway(databaseUrl: string): Promise<Running> {
  const node = await startEngineNode(databaseUrl);
  const db = openDatabase({ url: databaseUrl, poolMax: 10, applicationName: 'baton admin' });
  const authenticator = createAuthenticator({ admin: createAdmin({ db, engine: node.engine }) });
  const httpServer = createServer((_request, response) => response.writeHead(404).end());
  const complain = (fields: Record<string, unknown>, message: string): void => {
    process.stderr.write(`gateway: ${message} ${JSON.stringify(fields)}\n`);
  };
  const gateway = createSockets({
    httpServer,
    engine: node.engine,
    authenticator,
    logger: { info: () => undefined, warn: complain, error: complain },
    // A person sends one message in some seconds; an annotator of the closed loop as many as the server answers.
    config: { messagesPerSecond: 100_000, messageBurst: 100_000 },
  });
  return {
    port: await listen(httpServer),
    connections: () => gateway.connections(),
    node,
    stop: async () => {
      await gateway.close();
      httpServer.close();
      await node.stop();
      await db.destroy();
    },
  };
}

/** What Socket.IO alone costs, under the options of the gateway. */
async function startEcho(): Promise<Running> {
  const httpServer = createServer();
  const io = new Server(httpServer, {
    transports: ['websocket'],
    serveClient: false,
    perMessageDeflate: false,
  });
  io.of(ANNOTATOR_NAMESPACE).on('connection', (socket) => {
    socket.on('echo', (message: unknown, ack: (message: unknown) => void) => ack(message));
  });
  return {
    port: await listen(httpServer),
    connections: () => io.engine.clientsCount,
    stop: async () => void (await io.close()),
  };
}

async function startEngine(databaseUrl: string): Promise<Running> {
  const node = await startEngineNode(databaseUrl);
  return { port: 0, connections: () => 0, node, stop: () => node.stop() };
}

async function listen(httpServer: ReturnType<typeof createServer>): Promise<number> {
  httpServer.listen(0, '127.0.0.1');
  await once(httpServer, 'listening');
  const address = httpServer.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
  return address.port;
}

function start(order: Extract<ServerOrder, { start: string }>): Promise<Running> {
  if (order.start === 'echo') return startEcho();
  return order.start === 'gateway' ? startGateway(order.databaseUrl) : startEngine(order.databaseUrl);
}

function usageOf(running: Running): ServerAnswer {
  const { user, system } = process.cpuUsage();
  // Before the collection, which would touch memory that nothing needs.
  const residentBytes = process.memoryUsage.rss();
  globalThis.gc?.();
  return {
    port: running.port,
    cpuMs: (user + system) / 1_000,
    residentBytes,
    heapBytes: process.memoryUsage().heapUsed,
    peakBytes: process.resourceUsage().maxRSS * 1_024,
    connections: running.connections(),
  };
}

function serve(): void {
  const server: { running?: Running } = {};
  serveParent<ServerOrder, ServerAnswer>(
    async (order) => {
      if ('start' in order) server.running = await start(order);
      const { running } = server;
      if (running === undefined) throw new Error('not started');
      if ('work' in order) {
        if (running.node === undefined) throw new Error('no engine here');
        const crowd = await Crowd.gather({ work: running.node.engine.work, ...order.work });
        await crowd.workThrough(order.work.cycles);
      }
      return usageOf(running);
    },
    async () => server.running?.stop(),
  );
}

serve();
