import type { ProjectId } from '../ids.ts';
import { ok, type Result } from '../refusals.ts';
import { readProject } from '../store/admin/projects.ts';
import { readStats } from '../store/admin/stats.ts';
import { readFeed, type TransitionRecord } from '../store/admin/transitions.ts';
import { type AdminContext, read } from './context.ts';
import { noProject } from './projects.ts';

export interface FeedPage {
  readonly projectId: ProjectId;
  readonly events: readonly TransitionRecord[];
  /** Where the next page begins. */
  readonly after: number;
}

export interface FeedAdmin {
  /** The project's transitions in order, without gaps. `latest` reads none and says where the end is. */
  read(slug: string, page: { after: number | 'latest'; limit: number }): Promise<Result<FeedPage>>;
}

export function createFeedAdmin(context: AdminContext): FeedAdmin {
  return {
    read: (slug, { after, limit }) =>
      read(context, async (tx) => {
        const project = await readProject(tx, slug);
        if (project === undefined) return noProject(slug);
        if (after === 'latest') {
          const stats = await readStats(tx, project.shardId);
          return ok({ projectId: project.id, events: [], after: stats?.lastSeq ?? 0 });
        }
        const events = await readFeed(tx, project, { after, limit });
        return ok({ projectId: project.id, events, after: events.at(-1)?.seq ?? after });
      }),
  };
}
