import type { ProjectId } from '../ids.ts';
import { ok, type Result } from '../refusals.ts';
import { readProject } from '../store/admin/projects.ts';
import { readCounters } from '../store/admin/stats.ts';
import { readFeed, type TransitionRecord } from '../store/admin/transitions.ts';
import { type AdminContext, read } from './context.ts';
import { noProject } from './projects.ts';

/**
 * A place in a project's feed: the last number that was read of each shard, by part. Shards that came later are not
 * named, and are read from their beginning.
 */
export type FeedPlace = readonly number[];

/** A transition, and the place after it. */
export interface FeedEvent {
  readonly record: TransitionRecord;
  readonly after: FeedPlace;
}

export interface FeedPage {
  readonly projectId: ProjectId;
  readonly events: readonly FeedEvent[];
  /** Where the next page begins. */
  readonly after: FeedPlace;
}

export interface FeedAdmin {
  /**
   * The project's transitions: those of each shard in order and without gaps, those of several merged by time. `latest`
   * reads none and says where the end is.
   */
  read(slug: string, page: { after: FeedPlace | 'latest'; limit: number }): Promise<Result<FeedPage>>;
}

export function createFeedAdmin(context: AdminContext): FeedAdmin {
  return {
    read: (slug, { after, limit }) =>
      read(context, async (tx) => {
        const project = await readProject(tx, slug);
        if (project === undefined) return noProject(slug);
        if (after === 'latest') {
          const { lastSeqs } = await readCounters(tx, project.id);
          return ok({ projectId: project.id, events: [], after: lastSeqs });
        }
        const events = placed(await readFeed(tx, project, { after, limit }), after);
        return ok({ projectId: project.id, events, after: events.at(-1)?.after ?? after });
      }),
  };
}

function placed(records: readonly TransitionRecord[], from: FeedPlace): FeedEvent[] {
  let after = from;
  return records.map((record) => {
    after = placeAfter(record, after);
    return { record, after };
  });
}

/** @param before the place of the others; absent: the beginning. */
export function placeAfter({ part, seq }: TransitionRecord, before: FeedPlace = []): FeedPlace {
  const length = Math.max(before.length, part + 1);
  return Array.from({ length }, (_, i) => (i === part ? seq : (before[i] ?? 0)));
}
