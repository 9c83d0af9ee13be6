import type { Server as HttpServer } from 'node:http';
import { Server, type ServerOptions } from 'socket.io';
import type { Engine } from '../../engine/door.ts';
import { wireErrorOf } from '../../protocol/errors.ts';
import {
  ANNOTATOR_NAMESPACE,
  type ClientToServerEvents,
  type ServerToClientEvents,
} from '../../protocol/wire/index.ts';
import { FailedLogins } from '../auth/failed-logins.ts';
import type { Authenticator } from '../auth/principal.ts';
import { describeError } from '../describe-error.ts';
import { AdmissionError, type Admitted, admit, fullRetryMs } from './admission.ts';
import { DEFAULT_SOCKET_CONFIG, type SocketConfig } from './config.ts';
import { Entrance } from './entrance.ts';
import type { SocketLogger } from './logger.ts';
import type { AnnotatorSocket } from './outbox.ts';
import { Registry } from './registry.ts';
import { Session, type SessionServices } from './session.ts';
import { TokenSweep } from './token-sweep.ts';
import { toWirePush } from './translate.ts';

export { DEFAULT_SOCKET_CONFIG, type SocketConfig } from './config.ts';
export type { SocketLogger } from './logger.ts';

const MINUTE_MS = 60_000;
const FAILED_ADDRESSES_MAX = 10_000;

/** What gateways of a cluster tell each other. A message may be lost: each also looks by itself, somewhat later. */
interface SiblingEvents {
  'token:revoked': (tokenId: number) => void;
}

export interface SocketGateway {
  /** Admitted connections now. */
  connections(): number;
  /**
   * Tells every client that this node stops, in a way that makes it come back, and closes the connections. The HTTP
   * server is left to its owner. Safe to repeat.
   */
  close(): Promise<void>;
}

/**
 * Serves labeling clients over Socket.IO on the given HTTP server: path `/socket.io`, namespace `/annotator`, WebSocket
 * transport only. Attach it after the HTTP server has its own request handler.
 */
export function createSockets(args: {
  httpServer: HttpServer;
  engine: Engine;
  authenticator: Authenticator;
  logger: SocketLogger;
  config?: Partial<SocketConfig>;
  /** How the gateways of a cluster reach each other; absent: this is the only one. */
  adapter?: NonNullable<ServerOptions['adapter']>;
  /** Monotonic milliseconds. */
  nowMs?: () => number;
  /** 0 to 1: spreads the reconnects of a stopping node. */
  random?: () => number;
}): SocketGateway {
  const { engine, authenticator, logger, nowMs = () => performance.now(), random = Math.random } = args;
  const config: SocketConfig = { ...DEFAULT_SOCKET_CONFIG, ...args.config };
  const registry = new Registry();
  const entrance = new Entrance({ config, nowMs, random, open: () => io.engine.clientsCount });
  const failedLogins = new FailedLogins({
    max: config.failedLoginsPerMinute,
    windowMs: MINUTE_MS,
    addressesMax: FAILED_ADDRESSES_MAX,
    nowMs,
  });
  const services: SessionServices = { engine, authenticator, registry, logger, config, nowMs };
  let isClosing = false;

  const io = new Server<ClientToServerEvents, ServerToClientEvents, SiblingEvents>(args.httpServer, {
    ...(args.adapter && { adapter: args.adapter }),
    transports: ['websocket'],
    serveClient: false,
    perMessageDeflate: false,
    httpCompression: false,
    maxHttpBufferSize: config.messageBytesMax,
    connectTimeout: config.connectTimeoutMs,
    pingInterval: config.pingIntervalMs,
    pingTimeout: config.pingTimeoutMs,
    allowRequest: (request, answer) => entrance.arrived(request, (isWelcome) => answer(null, isWelcome)),
  });
  io.engine.on('connection', (connection: AnnotatorSocket['conn']) => entrance.connected(connection));

  // The main namespace exists in every Socket.IO server; a client that joined it would sit there unauthenticated.
  io.use((_socket, next) => next(new AdmissionError('not_found')));

  const admitted = new WeakMap<object, Admitted>();
  const joining = new WeakSet<object>();
  const namespace = io.of(ANNOTATOR_NAMESPACE);
  namespace.use(async (socket, next) => {
    // One namespace join per connection: without this a client could start any number of them at once.
    if (joining.has(socket.conn)) return next(new AdmissionError('malformed'));
    joining.add(socket.conn);
    try {
      if (isClosing) throw new AdmissionError('shutting_down', config.retryAfterMs);
      const { headers, auth } = socket.handshake;
      const { origin, host } = headers;
      const address = entrance.addressOf(socket.request);
      const handshake = { origin, host, address, token: auth.token };
      admitted.set(socket, await admit(handshake, { ...services, failedLogins, random }));
      next();
    } catch (error) {
      joining.delete(socket.conn);
      if (!(error instanceof AdmissionError)) logger.error(describeError(error), 'admission failed');
      next(error instanceof AdmissionError ? error : new AdmissionError('internal'));
    }
  });
  namespace.on('connection', (socket) => {
    const who = admitted.get(socket);
    if (who === undefined) {
      socket.disconnect(true);
      return;
    }
    const session = new Session({ socket, ...who, services });
    const isFull =
      registry.size >= config.maxConnections ||
      registry.countOf(who.annotatorId) >= config.maxConnectionsPerAnnotator;
    // Asked again: those that were admitted at the same moment are counted only now.
    if (isFull) {
      const retryAfterMs = fullRetryMs({ config, random });
      session.end(wireErrorOf('too_many_connections', undefined, { retryAfterMs }));
    } else {
      void session.start().finally(() => entrance.greeted(socket.conn));
    }
  });

  const stopPushes = engine.onPush((annotatorId, push) => {
    if (push.kind === 'stale') {
      for (const session of registry.of(annotatorId)) void session.tellState();
      return;
    }
    registry.tell(annotatorId, toWirePush(push));
    if (push.kind !== 'revoked' || push.reason !== 'annotator_banned') return;
    for (const session of registry.of(annotatorId)) session.end(wireErrorOf('annotator_banned'));
  });

  const sweep = new TokenSweep(registry, config.tokenSweepMs);
  const checkTokens = (tokenId: number): void => {
    for (const session of registry.all()) if (session.tokenId === tokenId) void session.checkToken();
  };
  const stopRevocations = authenticator.onRevoked((tokenId) => {
    checkTokens(tokenId);
    if (args.adapter) namespace.serverSideEmit('token:revoked', tokenId);
  });
  namespace.on('token:revoked', (tokenId: unknown) => {
    // From Redis, where anybody with the right to publish may say anything.
    if (typeof tokenId !== 'number') return;
    authenticator.forget(tokenId);
    checkTokens(tokenId);
  });

  let closing: Promise<void> | undefined;
  return {
    connections: () => registry.size,
    close: () => {
      isClosing = true;
      closing ??= closeAll();
      return closing;
    },
  };

  async function closeAll(): Promise<void> {
    entrance.close();
    sweep.stop();
    stopRevocations();
    const sessions = registry.all();
    const gone = Promise.all(sessions.map((session) => session.gone()));
    for (const session of sessions) {
      const retryAfterMs = Math.round(random() * config.reconnectSpreadMs);
      session.end(wireErrorOf('shutting_down', undefined, { retryAfterMs }));
    }
    stopPushes();
    // The last messages are written first; a client that does not take them is not waited for.
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, config.closeTimeoutMs);
    });
    await Promise.race([gone, timeout]);
    clearTimeout(timer);
    io.engine.close();
  }
}
