import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import type { Socket as TcpSocket } from 'node:net';
import { io, type Socket } from 'socket.io-client';
import type { Engine } from '../../engine/door.ts';
import { type AnnotatorId, asId } from '../../engine/ids.ts';
import type { Authenticator, Principal } from '../../gateway/auth/principal.ts';
import { createSockets, type SocketConfig, type SocketGateway } from '../../gateway/sockets/index.ts';
import type { WireError } from '../../protocol/errors.ts';
import { ANNOTATOR_NAMESPACE, type WireSessionState } from '../../protocol/wire/index.ts';
import { ScriptedEngine } from './scripted-engine.ts';

export const ANNA = asId<AnnotatorId>(1);
export const BEN = asId<AnnotatorId>(2);

/** Tokens by hand: `anna`, `ben` and `boss` (an admin) are good until a test takes them away. */
export class TokenBook implements Authenticator {
  readonly tokens = new Map<string, Principal>([
    ['anna', { tokenId: 1, role: 'annotator', annotatorId: ANNA, actor: 'annotator:1' }],
    ['ben', { tokenId: 2, role: 'annotator', annotatorId: BEN, actor: 'annotator:2' }],
    ['boss', { tokenId: 3, role: 'admin', annotatorId: null, actor: 'token:3' }],
  ]);
  lost: Error | undefined;
  /** How often a token was looked at. */
  looks = 0;
  readonly #listeners = new Set<(tokenId: number) => void>();

  /** A token that is good from now on. */
  add(token: string, annotatorId: AnnotatorId): void {
    this.tokens.set(token, {
      tokenId: 100 + annotatorId,
      role: 'annotator',
      annotatorId,
      actor: `annotator:${annotatorId}`,
    });
  }

  /** Takes a token away as an admin of this very process does. */
  revoke(token: string): void {
    const principal = this.tokens.get(token);
    this.tokens.delete(token);
    for (const listener of this.#listeners) listener(principal?.tokenId ?? 0);
  }

  forget(): void {
    // Nothing is remembered here.
  }

  onRevoked(listener: (tokenId: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async authenticate(token: string): Promise<Principal | undefined> {
    this.looks += 1;
    if (this.lost !== undefined) throw this.lost;
    return this.tokens.get(token);
  }
}

export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface GatewayUnderTest<E extends Engine = ScriptedEngine> {
  readonly url: string;
  readonly port: number;
  readonly engine: E;
  readonly tokens: TokenBook;
  readonly gateway: SocketGateway;
  readonly log: LogLine[];
  /** A plain Socket.IO client, as any language has one. It does not reconnect unless told. */
  plain(
    token: unknown,
    more?: { headers?: Record<string, string>; reconnection?: boolean; namespace?: string },
  ): Socket;
  /** Cuts every TCP connection, as a network does. */
  cutConnections(): void;
  /** Stops listening, and leaves the plain clients to find out. */
  closeServer(): Promise<void>;
  close(): Promise<void>;
}

interface GatewayOptions {
  readonly config?: Partial<SocketConfig>;
  readonly port?: number;
  readonly nowMs?: () => number;
  /** Instead of the tokens by hand. */
  readonly authenticator?: Authenticator;
  readonly adapter?: Parameters<typeof createSockets>[0]['adapter'];
}

/** A gateway in front of a scripted engine. */
export function startGateway(
  options: GatewayOptions & { engine?: ScriptedEngine } = {},
): Promise<GatewayUnderTest> {
  return startGatewayOf(options.engine ?? new ScriptedEngine(), options);
}

/** The sockets on a real HTTP server on loopback, in front of any engine. */
export async function startGatewayOf<E extends Engine>(
  engine: E,
  options: GatewayOptions = {},
): Promise<GatewayUnderTest<E>> {
  const { config = {}, nowMs } = options;
  const tokens = new TokenBook();
  const log: LogLine[] = [];
  const write = (level: string) => (fields: Record<string, unknown>, message: string) => {
    log.push({ level, fields, message });
  };
  const httpServer = createServer((_request, response) => response.writeHead(404).end());
  const gateway = createSockets({
    httpServer,
    engine,
    authenticator: options.authenticator ?? tokens,
    logger: { info: write('info'), warn: write('warn'), error: write('error') },
    config: { reconnectSpreadMs: 20, ...config },
    ...(nowMs === undefined ? {} : { nowMs }),
    ...(options.adapter && { adapter: options.adapter }),
  });
  const port = await listen(httpServer, options.port ?? 0);
  const url = `http://127.0.0.1:${port}`;
  const sockets: Socket[] = [];
  const tcpSockets = new Set<TcpSocket>();
  httpServer.on('connection', (socket) => {
    tcpSockets.add(socket);
    socket.once('close', () => tcpSockets.delete(socket));
  });
  const closeServer = async (): Promise<void> => {
    await gateway.close();
    httpServer.closeAllConnections();
    await new Promise((resolve) => httpServer.close(resolve));
  };
  return {
    url,
    port,
    engine,
    tokens,
    gateway,
    log,
    plain: (token, { headers = {}, reconnection = false, namespace = ANNOTATOR_NAMESPACE } = {}) => {
      const socket = io(`${url}${namespace}`, {
        transports: ['websocket'],
        auth: { token },
        forceNew: true,
        reconnection,
        reconnectionDelay: 10,
        reconnectionDelayMax: 50,
        extraHeaders: headers,
      });
      sockets.push(socket);
      return socket;
    },
    cutConnections: () => {
      for (const socket of tcpSockets) socket.destroy();
    },
    closeServer,
    close: async () => {
      for (const socket of sockets) socket.disconnect();
      await closeServer();
    },
  };
}

async function listen(httpServer: HttpServer, port: number): Promise<number> {
  httpServer.listen(port, '127.0.0.1');
  await once(httpServer, 'listening');
  const address = httpServer.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
  return address.port;
}

/** The next message of this name. */
export function next<Message = unknown>(socket: Socket, event: string): Promise<Message> {
  return new Promise((resolve) => socket.once(event, (message: Message) => resolve(message)));
}

export function stateOf(socket: Socket): Promise<WireSessionState> {
  return next<WireSessionState>(socket, 'session:state');
}

/** Why a connection was refused: the wire error under `err.data`. */
export function refusalOf(socket: Socket): Promise<WireError> {
  return new Promise((resolve) =>
    socket.once('connect_error', (error: Error & { data?: WireError }) =>
      resolve(error.data ?? noData(error)),
    ),
  );
}

function noData(error: Error): never {
  throw new Error(`connect_error without data: ${error.message}`);
}
