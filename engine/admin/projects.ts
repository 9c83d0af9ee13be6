import type { ProjectLive } from '../door.ts';
import { ok, type Result, refuse } from '../refusals.ts';
import { checkResultSchema } from '../result-schema.ts';
import type { ProjectSettings } from '../settings.ts';
import { insertAudit } from '../store/admin/audit.ts';
import {
  insertProject,
  insertShards,
  listProjects,
  type ProjectRecord,
  type ProjectStatus,
  readProject,
  updateProject,
} from '../store/admin/projects.ts';
import { reorderTasks } from '../store/admin/queue-order.ts';
import { type ProjectCounters, readCounters } from '../store/admin/stats.ts';
import { type Actor, type AdminContext, type Page, read, write } from './context.ts';
import { spreadTasks } from './reshard.ts';

/** Tasks that one statement lays out anew when the strategy changes. */
const REORDER_ROWS = 2_000;

/** Judges a change against the settings as they are when the project's row is locked. */
export type SettingsChange = (present: ProjectSettings) => Result<ProjectSettings>;

export interface ProjectsAdmin {
  create(args: {
    slug: string;
    name: string;
    settings: ProjectSettings;
    actor: Actor;
  }): Promise<Result<ProjectRecord>>;
  read(slug: string): Promise<Result<ProjectRecord>>;
  list(page: Page): Promise<ProjectRecord[]>;
  change(args: {
    slug: string;
    name?: string | undefined;
    settings?: SettingsChange | undefined;
    /** The caller names the strategy: lay the tasks out even if it is the same, in case a crash cut that short. */
    namesStrategy?: boolean | undefined;
    /** The same for the number of shards. */
    namesShards?: boolean | undefined;
    actor: Actor;
  }): Promise<Result<ProjectRecord>>;
  /** Idempotent. Archived is for good. */
  setStatus(args: { slug: string; status: ProjectStatus; actor: Actor }): Promise<Result<ProjectRecord>>;
  stats(slug: string): Promise<Result<{ counters: ProjectCounters; live: ProjectLive }>>;
}

export function createProjectsAdmin(context: AdminContext): ProjectsAdmin {
  const { control } = context.engine;
  return {
    create: (args) => create(context, args),
    read: (slug) => find(context, slug),
    list: (page) => read(context, (tx) => listProjects(tx, page)),
    async change(args) {
      const changed = await write(context, async (tx) => {
        const present = await readProject(tx, args.slug, 'update');
        if (present === undefined) return noProject(args.slug);
        if (present.status === 'archived') return refuse('conflict', 'The project is archived.');
        const settings = args.settings === undefined ? ok(present.settings) : args.settings(present.settings);
        if (!settings.ok) return settings;
        const usable = usableSettings(settings.value);
        if (!usable.ok) return usable;
        await updateProject(tx, present.id, {
          name: args.name ?? present.name,
          settings: settings.value,
          status: present.status,
        });
        if (settings.value.shards > present.shardIds.length)
          await insertShards(tx, present.id, settings.value.shards);
        await insertAudit(tx, {
          actor: args.actor,
          action: 'project.change',
          subject: args.slug,
          detail: { settings: differences(present.settings, settings.value) },
        });
        const isReordered = settings.value.strategy !== present.settings.strategy;
        const isSpread = settings.value.shards !== present.settings.shards;
        const project = (await readProject(tx, args.slug)) ?? present;
        return ok({ project, isReordered, isSpread });
      });
      if (!changed.ok) return changed;
      if (args.settings !== undefined) {
        const { project, isReordered, isSpread } = changed.value;
        if (isReordered || args.namesStrategy === true) await reorder(context, project);
        const tell = () => control.projectChanged(project.id, 'settings', args.actor);
        const seen = await tell();
        if (!seen.ok) return seen;
        const moved =
          isSpread || args.namesShards === true ? await spreadTasks(context, project, args.actor) : 0;
        // Told once more: an owner that still has tasks in memory which have moved finds that out when it answers.
        const seenAgain = moved > 0 ? await tell() : seen;
        if (!seenAgain.ok) return seenAgain;
      }
      return find(context, args.slug);
    },
    async setStatus({ slug, status, actor }) {
      const changed = await write(context, async (tx) => {
        const present = await readProject(tx, slug, 'update');
        if (present === undefined) return noProject(slug);
        if (present.status === 'archived' && status !== 'archived') {
          return refuse('conflict', 'The project is archived.');
        }
        if (present.status !== status) {
          await updateProject(tx, present.id, { name: present.name, settings: present.settings, status });
          await insertAudit(tx, { actor, action: `project.${status}`, subject: slug });
        }
        return ok(present);
      });
      if (!changed.ok) return changed;
      // Told even when the row had this status: an earlier call may have stopped between the row and the shard.
      const change = status === 'active' ? 'resumed' : status;
      const seen = await control.projectChanged(changed.value.id, change, actor);
      return seen.ok ? find(context, slug) : seen;
    },
    async stats(slug) {
      const counters = await read(context, async (tx) => {
        const project = await readProject(tx, slug);
        if (project === undefined) return noProject(slug);
        return ok({ project, stats: await readCounters(tx, project.id) });
      });
      if (!counters.ok) return counters;
      const live = await control.live(counters.value.project.id);
      return ok({ counters: counters.value.stats, live });
    },
  };
}

export function noProject(slug: string): Result<never> {
  return refuse('not_found', `There is no project "${slug}".`);
}

async function find(context: AdminContext, slug: string): Promise<Result<ProjectRecord>> {
  const project = await read(context, (tx) => readProject(tx, slug));
  return project === undefined ? noProject(slug) : ok(project);
}

async function create(
  context: AdminContext,
  args: { slug: string; name: string; settings: ProjectSettings; actor: Actor },
): Promise<Result<ProjectRecord>> {
  const usable = usableSettings(args.settings);
  if (!usable.ok) return usable;
  const created = await write(context, async (tx) => {
    const made = await insertProject(tx, args);
    if (made === undefined) return refuse('conflict', `There is a project "${args.slug}" already.`);
    await insertAudit(tx, { actor: args.actor, action: 'project.create', subject: args.slug });
    return ok(made);
  });
  if (!created.ok) return created;
  const seen = await context.engine.control.projectCreated(created.value.id);
  return seen.ok ? created : seen;
}

function usableSettings(settings: ProjectSettings): Result<true> {
  return settings.resultSchema === null ? ok(true) : checkResultSchema(settings.resultSchema);
}

/** The names of the settings that changed: values may be long, and the present ones are in the project's row. */
function differences(before: ProjectSettings, after: ProjectSettings): string[] {
  const now = new Map<string, unknown>(Object.entries(after));
  return Object.entries(before)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(now.get(key)))
    .map(([key]) => key);
}

/** Brings the tasks into the order of the project's strategy, a few at a time; those in order are not written. */
async function reorder(context: AdminContext, project: ProjectRecord): Promise<void> {
  let after: number | undefined = 0;
  while (after !== undefined) {
    const from: number = after;
    after = await write(context, (tx) =>
      reorderTasks(tx, {
        projectId: project.id,
        strategy: project.settings.strategy,
        after: from,
        limit: REORDER_ROWS,
      }),
    );
  }
}
