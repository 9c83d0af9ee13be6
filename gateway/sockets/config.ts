import { WIRE_LIMITS } from '../../protocol/limits.ts';

/** The limits and times of the WebSocket side. Times in milliseconds. */
export interface SocketConfig {
  /** Origins of pages that may connect, beside pages of this very host; `*`: all. Programs send no origin and may. */
  readonly allowedOrigins: readonly string[] | '*';
  /** The last entry of X-Forwarded-For is where a connection comes from. */
  readonly trustProxy: boolean;
  readonly maxConnections: number;
  /** Connections that are let in at a time: their token is looked at, their state is read. Others wait in line. */
  readonly pendingMax: number;
  readonly pendingPerAddressMax: number;
  /**
   * Connections that wait in line for that; one more is told when to come back. Behind a proxy that is not trusted with
   * addresses, or one company's router, everybody has one address: there must be room for those who come back together.
   */
  readonly lineMax: number;
  readonly linePerAddressMax: number;
  /** Nobody waits in line longer than this: well below the time for which clients wait for a connection. */
  readonly lineWaitMsMax: number;
  /** Connections that are let in, or told to come back, in one turn of the event loop, so that others are served meanwhile. */
  readonly lettingInPerTurn: number;
  /** What letting one in takes, on average, in a crowd: the first times to come back are made of it. */
  readonly lettingInExpectedMs: number;
  /** Wrong tokens from one address per minute until it is refused without a look at the token. */
  readonly failedLoginsPerMinute: number;
  /** Tabs and devices of one annotator. */
  readonly maxConnectionsPerAnnotator: number;
  /** Messages one connection may send per second, in the long run. */
  readonly messagesPerSecond: number;
  /** Messages one connection may send at once after a silence. */
  readonly messageBurst: number;
  /** Messages refused in a row for their rate until the connection is closed. */
  readonly rateRefusalsMax: number;
  /** Messages of one connection that wait for their answer at a time. */
  readonly inFlightMax: number;
  /** Messages to one connection that wait to be written until it is closed as too slow. */
  readonly outboundMax: number;
  /** The tokens of connections that only listen are checked this often; those of the others by their messages. */
  readonly tokenSweepMs: number;
  /** A connection that has not joined the namespace by then is closed. */
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly messageBytesMax: number;
  /** What a client is told to wait when this gateway itself is the bottleneck. */
  readonly retryAfterMs: number;
  /** Who finds every place taken comes back after this time, or up to as much again. */
  readonly fullRetryMs: number;
  /** How long `close` waits for the last messages to be written. */
  readonly closeTimeoutMs: number;
  /** Clients of a stopping node come back within this time, not all at once. */
  readonly reconnectSpreadMs: number;
}

export const DEFAULT_SOCKET_CONFIG: SocketConfig = {
  allowedOrigins: [],
  trustProxy: false,
  maxConnections: 20_000,
  pendingMax: 1_000,
  pendingPerAddressMax: 250,
  lineMax: 10_000,
  linePerAddressMax: 6_000,
  lineWaitMsMax: 10_000,
  lettingInPerTurn: 16,
  lettingInExpectedMs: 1,
  failedLoginsPerMinute: 100,
  maxConnectionsPerAnnotator: 10,
  messagesPerSecond: 500,
  messageBurst: 1_000,
  rateRefusalsMax: 500,
  inFlightMax: 16,
  outboundMax: 256,
  tokenSweepMs: 10_000,
  connectTimeoutMs: 10_000,
  pingIntervalMs: 15_000,
  pingTimeoutMs: 10_000,
  messageBytesMax: WIRE_LIMITS.messageBytesMax,
  retryAfterMs: 500,
  fullRetryMs: 5_000,
  closeTimeoutMs: 2_000,
  reconnectSpreadMs: 1_000,
};
