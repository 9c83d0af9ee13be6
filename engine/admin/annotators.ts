import { type AnnotatorId, asId } from '../ids.ts';
import { ok, type Result, refuse } from '../refusals.ts';
import {
  type AnnotatorRecord,
  type AnnotatorStatus,
  deleteMember,
  existingAnnotators,
  insertAnnotator,
  insertMembers,
  listAnnotators,
  readAnnotator,
  updateAnnotator,
} from '../store/admin/annotators.ts';
import { insertAudit } from '../store/admin/audit.ts';
import { readProject } from '../store/admin/projects.ts';
import { type Actor, type AdminContext, type Page, read, write } from './context.ts';
import { noProject } from './projects.ts';

const SKILLS_MAX = 200;

/** What a supervisor can do to an annotator. */
export type StatusAction = 'pause' | 'resume' | 'ban' | 'unban';

export interface AnnotatorsAdmin {
  /** Repeating an external id answers the annotator who has it, unchanged; `isNew` is false then. */
  create(args: {
    externalId: string;
    name: string;
    capacity: number;
    skills: Readonly<Record<string, number>>;
    actor: Actor;
  }): Promise<Result<{ annotator: AnnotatorRecord; isNew: boolean }>>;
  read(id: AnnotatorId): Promise<Result<AnnotatorRecord>>;
  list(
    filter: { externalId?: string | undefined; status?: AnnotatorStatus | undefined },
    page: Page,
  ): Promise<AnnotatorRecord[]>;
  /** `skills` are laid over the present ones; null takes one away. */
  change(args: {
    id: AnnotatorId;
    name?: string | undefined;
    capacity?: number | undefined;
    skills?: Readonly<Record<string, number | null>> | undefined;
    actor: Actor;
  }): Promise<Result<AnnotatorRecord>>;
  /** Idempotent. A banned annotator is neither paused nor resumed, only unbanned. */
  setStatus(args: {
    id: AnnotatorId;
    action: StatusAction;
    reason?: string | undefined;
    actor: Actor;
  }): Promise<Result<AnnotatorRecord>>;
  members(slug: string, page: Page): Promise<Result<AnnotatorRecord[]>>;
  addMembers(args: {
    slug: string;
    annotatorIds: readonly AnnotatorId[];
    actor: Actor;
  }): Promise<Result<{ added: number }>>;
  removeMember(args: {
    slug: string;
    annotatorId: AnnotatorId;
    actor: Actor;
  }): Promise<Result<{ removed: boolean }>>;
}

export function createAnnotatorsAdmin(context: AdminContext): AnnotatorsAdmin {
  return {
    create: (args) => create(context, args),
    read: (id) => find(context, id),
    list: (filter, page) => read(context, (tx) => listAnnotators(tx, { ...filter, ...page })),
    change: ({ id, actor, ...change }) =>
      alter(context, { id, actor, action: 'annotator.change' }, (present) => {
        const skills = overlaid(present.skills, change.skills ?? {});
        if (Object.keys(skills).length > SKILLS_MAX) {
          return refuse('invalid', `An annotator has at most ${SKILLS_MAX} skills.`);
        }
        return ok({
          ...present,
          name: change.name ?? present.name,
          capacity: change.capacity ?? present.capacity,
          skills,
        });
      }),
    setStatus: ({ id, action, reason, actor }) =>
      alter(context, { id, actor, action: `annotator.${action}` }, (present) => {
        if (present.status === 'banned' && (action === 'pause' || action === 'resume')) {
          return refuse('conflict', 'The annotator is banned.');
        }
        if (action === 'unban' && present.status === 'paused') return ok(present);
        const status = STATUS_AFTER[action];
        return ok({ ...present, status, statusReason: status === 'active' ? null : (reason ?? null) });
      }),
    members: (slug, page) =>
      read(context, async (tx) => {
        const project = await readProject(tx, slug);
        if (project === undefined) return noProject(slug);
        return ok(await listAnnotators(tx, { projectId: project.id, ...page }));
      }),
    addMembers: (args) => addMembers(context, args),
    removeMember: (args) => removeMember(context, args),
  };
}

const STATUS_AFTER = {
  pause: 'paused',
  resume: 'active',
  ban: 'banned',
  unban: 'active',
} as const satisfies Record<StatusAction, AnnotatorStatus>;

export function noAnnotator(id: AnnotatorId): Result<never> {
  return refuse('not_found', `There is no annotator ${id}.`);
}

async function find(context: AdminContext, id: AnnotatorId): Promise<Result<AnnotatorRecord>> {
  const annotator = await read(context, (tx) => readAnnotator(tx, id));
  return annotator === undefined ? noAnnotator(id) : ok(annotator);
}

async function create(
  context: AdminContext,
  args: Parameters<AnnotatorsAdmin['create']>[0],
): ReturnType<AnnotatorsAdmin['create']> {
  return write(context, async (tx) => {
    const made = await insertAnnotator(tx, args);
    if (made !== undefined) {
      await insertAudit(tx, { actor: args.actor, action: 'annotator.create', subject: String(made.id) });
      return ok({ annotator: made, isNew: true });
    }
    const [present] = await listAnnotators(tx, { externalId: args.externalId, after: 0, limit: 1 });
    if (present === undefined) return refuse('conflict', 'The annotator was removed at this moment.');
    return ok({ annotator: present, isNew: false });
  });
}

async function alter(
  context: AdminContext,
  args: { id: AnnotatorId; actor: Actor; action: string },
  change: (present: AnnotatorRecord) => Result<AnnotatorRecord>,
): Promise<Result<AnnotatorRecord>> {
  const changed = await write(context, async (tx) => {
    const present = await readAnnotator(tx, args.id, 'update');
    if (present === undefined) return noAnnotator(args.id);
    const next = change(present);
    if (!next.ok) return next;
    await updateAnnotator(tx, args.id, next.value);
    await insertAudit(tx, { actor: args.actor, action: args.action, subject: String(args.id) });
    return next;
  });
  if (!changed.ok) return changed;
  const seen = await context.engine.control.annotatorChanged(args.id, args.actor);
  return seen.ok ? changed : seen;
}

function overlaid(
  present: Readonly<Record<string, number>>,
  change: Readonly<Record<string, number | null>>,
): Record<string, number> {
  const merged = new Map(Object.entries(present));
  for (const [skill, value] of Object.entries(change)) {
    if (value === null) merged.delete(skill);
    else merged.set(skill, value);
  }
  return Object.fromEntries(merged);
}

async function addMembers(
  context: AdminContext,
  args: Parameters<AnnotatorsAdmin['addMembers']>[0],
): ReturnType<AnnotatorsAdmin['addMembers']> {
  const annotatorIds = [...new Set(args.annotatorIds)];
  const added = await write(context, async (tx) => {
    const project = await readProject(tx, args.slug, 'share');
    if (project === undefined) return noProject(args.slug);
    const existing = await existingAnnotators(tx, annotatorIds);
    const missing = annotatorIds.filter((id) => !existing.has(id));
    if (missing.length > 0) {
      return refuse('not_found', `There are no annotators ${missing.slice(0, 20).join(', ')}.`);
    }
    const fresh = await insertMembers(tx, project.id, annotatorIds);
    await insertAudit(tx, {
      actor: args.actor,
      action: 'members.add',
      subject: args.slug,
      detail: { annotators: fresh.map(Number) },
    });
    return ok(fresh);
  });
  if (!added.ok) return added;
  // All of them, not only the new ones: an earlier call may have stopped between the rows and the engine.
  for (const id of annotatorIds) {
    const seen = await context.engine.control.annotatorChanged(asId<AnnotatorId>(id), args.actor);
    if (!seen.ok) return seen;
  }
  return ok({ added: added.value.length });
}

async function removeMember(
  context: AdminContext,
  args: Parameters<AnnotatorsAdmin['removeMember']>[0],
): ReturnType<AnnotatorsAdmin['removeMember']> {
  const removed = await write(context, async (tx) => {
    const project = await readProject(tx, args.slug, 'share');
    if (project === undefined) return noProject(args.slug);
    const was = await deleteMember(tx, project.id, args.annotatorId);
    if (was) {
      const detail = { annotator: Number(args.annotatorId) };
      await insertAudit(tx, { actor: args.actor, action: 'members.remove', subject: args.slug, detail });
    }
    return ok(was);
  });
  if (!removed.ok) return removed;
  const seen = await context.engine.control.annotatorChanged(args.annotatorId, args.actor);
  return seen.ok ? ok({ removed: removed.value }) : seen;
}
