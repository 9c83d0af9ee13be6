/** The limits and times of the HTTP side. Times in milliseconds. */
export interface HttpConfig {
  /** Origins of pages that may call the API from a browser, beside pages of this very host; `*`: all. */
  readonly allowedOrigins: readonly string[] | '*';
  /** Requests of one token, or of one address without a token, per minute. */
  readonly requestsPerMinute: number;
  /** Wrong tokens from one address per minute until it is answered 429 without a look at the token. */
  readonly failedLoginsPerMinute: number;
  /** Readers of event feeds that wait at a time, in this process. */
  readonly feedFollowersMax: number;
  /** Server-sent events: a comment this often keeps proxies from closing the stream; the token is checked again. */
  readonly feedHeartbeatMs: number;
  /** A connection on which nothing moves for this long is closed. Longer than any wait of the feed. */
  readonly idleTimeoutMs: number;
  /** How long `/health/ready` waits for the database. */
  readonly probeTimeoutMs: number;
  /** What a client is told to wait when the database is away. */
  readonly retryAfterMs: number;
  /** Whether the address of a client is taken from `X-Forwarded-For`: only behind a proxy that sets it. */
  readonly trustProxy: boolean;
  readonly version: string;
}

export const DEFAULT_HTTP_CONFIG: HttpConfig = {
  allowedOrigins: [],
  requestsPerMinute: 60_000,
  failedLoginsPerMinute: 100,
  feedFollowersMax: 1_000,
  feedHeartbeatMs: 15_000,
  idleTimeoutMs: 120_000,
  probeTimeoutMs: 2_000,
  retryAfterMs: 1_000,
  trustProxy: false,
  version: '0.1.0',
};
