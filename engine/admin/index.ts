import type { Engine } from '../door.ts';
import { ok, type Result } from '../refusals.ts';
import { type AuditRecord, listAudit } from '../store/admin/audit.ts';
import { type ExportedAnnotation, type ExportFilter, streamAnnotations } from '../store/admin/export.ts';
import { readProject } from '../store/admin/projects.ts';
import type { TokenRecord } from '../store/admin/tokens.ts';
import type { Database } from '../store/database.ts';
import { type AnnotatorsAdmin, createAnnotatorsAdmin } from './annotators.ts';
import { type AdminContext, type Page, read } from './context.ts';
import { createFeedAdmin, type FeedAdmin } from './feed.ts';
import { createImportsAdmin, type ImportsAdmin } from './imports.ts';
import { createProjectsAdmin, noProject, type ProjectsAdmin } from './projects.ts';
import { createTasksAdmin, type TasksAdmin } from './tasks.ts';
import { createTokensAdmin, type TokensAdmin } from './tokens.ts';

export type { AnnotatorRecord, AnnotatorStatus } from '../store/admin/annotators.ts';
export type { AssignmentRecord } from '../store/admin/assignments.ts';
export type { AuditRecord } from '../store/admin/audit.ts';
export type { ExportedAnnotation, ExportFilter } from '../store/admin/export.ts';
export { type DatabaseFault, faultOf } from '../store/admin/faults.ts';
export type { NewTask } from '../store/admin/import.ts';
export type { ProjectRecord, ProjectStatus } from '../store/admin/projects.ts';
export type { ProjectCounters } from '../store/admin/stats.ts';
export type { AnnotationRecord, TaskFilter, TaskRecord } from '../store/admin/tasks.ts';
export type { TokenRecord, TokenRole } from '../store/admin/tokens.ts';
export type { TransitionRecord } from '../store/admin/transitions.ts';
export type { StatusAction } from './annotators.ts';
export type { Page } from './context.ts';
export { type FeedEvent, type FeedPage, type FeedPlace, placeAfter } from './feed.ts';
export type { ImportReport, ImportRow, ImportStop } from './imports.ts';
export type { TaskDetail } from './tasks.ts';
export type { CreatedToken } from './tokens.ts';

/**
 * Everything that admins and supervisors do, for whatever gateway brings it: it knows no HTTP. Expected refusals
 * are values; a lost database is thrown (`faultOf` tells it from a bug). What changes live work goes through the
 * engine's control door, after the rows are committed.
 */
export interface Admin {
  readonly projects: ProjectsAdmin;
  readonly annotators: AnnotatorsAdmin;
  readonly tokens: TokensAdmin;
  readonly tasks: TasksAdmin;
  readonly imports: ImportsAdmin;
  readonly feed: FeedAdmin;
  /** One snapshot of a project's answers, read as fast as it is taken. Stopping early gives the connection back. */
  exportAnnotations(slug: string, filter: ExportFilter): Promise<Result<AsyncGenerator<ExportedAnnotation>>>;
  /** Who changed what, oldest first. */
  audit(page: Page): Promise<Result<AuditRecord[]>>;
  /** Installs the admin token that the configuration fixes. @see TokensAdmin.ensureAdminToken */
  ensureAdminToken(token: string): Promise<Result<TokenRecord>>;
  /** @throws when the database does not answer. */
  probe(): Promise<void>;
}

/** @param db a pool of its own: floods of admin queries must not hold up leases. */
export function createAdmin(args: { db: Database; engine: Pick<Engine, 'control'> }): Admin {
  const context: AdminContext = { db: args.db, engine: args.engine };
  const tokens = createTokensAdmin(context);
  return {
    projects: createProjectsAdmin(context),
    annotators: createAnnotatorsAdmin(context),
    tokens,
    tasks: createTasksAdmin(context),
    imports: createImportsAdmin(context),
    feed: createFeedAdmin(context),
    async exportAnnotations(slug, filter) {
      const project = await read(context, (tx) => readProject(tx, slug));
      return project === undefined ? noProject(slug) : ok(streamAnnotations(context.db, project.id, filter));
    },
    audit: (page) => read(context, async (tx) => ok(await listAudit(tx, page))),
    ensureAdminToken: (token) => tokens.ensureAdminToken(token),
    async probe() {
      await args.db.raw('select 1');
    },
  };
}
