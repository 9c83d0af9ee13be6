/** Every limit of the engine. Over one of them the answer is an explicit `busy` with a retry time, or a bound. */
export interface Limits {
  /** Ready tasks read from disk at a time, per lane of a shard. */
  readonly windowRows: number;
  /** Ready tasks held in memory at most, per lane of a shard. */
  readonly windowRowsMax: number;
  /** Rows per read when the shared window holds nothing for one annotator. */
  readonly deepRows: number;
  /** Reads of that kind that one request may cause before it is told to try again. */
  readonly deepReadsMax: number;
  /** Commands of one shard that wait for a commit or for the shard to load. */
  readonly mailboxMax: number;
  /** Ended assignments remembered per shard, to answer repeats without a read. */
  readonly recentMax: number;
  /** Annotators waiting in one shard. */
  readonly waitersMax: number;
  /** Bytes of task data cached per node. */
  readonly payloadCacheBytes: number;
  /** A result or draft, as JSON text, in bytes. */
  readonly resultBytesMax: number;
  readonly resultDepthMax: number;
  /** What a client is told to wait when the engine is busy or a dependency is away. */
  readonly retryAfterMs: number;
  /** Leases in one project list of a request. */
  readonly projectsPerRequestMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  windowRows: 1_024,
  windowRowsMax: 4_096,
  deepRows: 128,
  deepReadsMax: 32,
  mailboxMax: 20_000,
  recentMax: 1_024,
  waitersMax: 50_000,
  payloadCacheBytes: 32 * 1024 * 1024,
  resultBytesMax: 1024 * 1024,
  resultDepthMax: 64,
  retryAfterMs: 500,
  projectsPerRequestMax: 100,
};
