import type { FeedPlace } from '../../engine/admin/index.ts';

/**
 * A place in a feed as text: the number of each shard, joined, without the zeros at the end. Of a project with one shard
 * it is one number, which stays a right place when the project grows.
 */
export function formatFeedCursor(place: FeedPlace): string {
  const last = place.findLastIndex((seq) => seq > 0);
  return last < 0 ? '0' : place.slice(0, last + 1).join('.');
}

/** @param cursor checked by its schema; absent: the beginning. */
export function parseFeedCursor(cursor: string | undefined): FeedPlace | 'latest' {
  if (cursor === undefined) return [];
  return cursor === 'latest' ? 'latest' : cursor.split('.').map(Number);
}
