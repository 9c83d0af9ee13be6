/** A place in a lane's order. Ranks are unique within a shard (they hold the task id or a hash mixed with it). */
export interface QueueKey {
  readonly queuePriority: number;
  readonly queueRank: number;
}

export const LOWEST_KEY: QueueKey = { queuePriority: -Infinity, queueRank: -Infinity };
export const HIGHEST_KEY: QueueKey = { queuePriority: Infinity, queueRank: Infinity };

/** Negative when a is served before b. */
export function compareKeys(a: QueueKey, b: QueueKey): number {
  return a.queuePriority === b.queuePriority ? a.queueRank - b.queueRank : a.queuePriority - b.queuePriority;
}
