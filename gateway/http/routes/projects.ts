import { z } from 'zod';
import { ok, type Result, refuse } from '../../../engine/refusals.ts';
import type { ProjectSettings } from '../../../engine/settings.ts';
import {
  cursor,
  limit,
  mergeSettings,
  pageOf,
  project,
  projectChange,
  projectCreate,
  projectSettingsChange,
  projectStats,
  SETTINGS_DEFAULTS,
  slug,
  type WireProjectSettings,
  type WireProjectSettingsChange,
} from '../../../protocol/api/index.ts';
import { ADMIN, type HttpApp, type HttpContext, principalOf, SUPERVISION } from '../app.ts';
import { formatFeedCursor } from '../feed-cursor.ts';
import { answerPage } from '../paging.ts';
import { granted } from '../problem.ts';
import { projectView, settingsView } from '../views.ts';

const params = z.object({ slug });
const tags = ['projects'];

function merged(present: WireProjectSettings, change: WireProjectSettingsChange): Result<ProjectSettings> {
  const merge = mergeSettings(present, change);
  return merge.ok
    ? ok(merge.settings)
    : refuse('invalid', 'The settings contradict each other.', { details: merge.errors });
}

export function projectRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.post(
    '/api/projects',
    {
      config: { access: ADMIN },
      schema: { tags, summary: 'Create a project.', body: projectCreate, response: { 201: project } },
    },
    async (request, reply) => {
      const { body } = request;
      const created = await admin.projects.create({
        slug: body.slug,
        name: body.name ?? body.slug,
        settings: granted(merged(SETTINGS_DEFAULTS, body.settings ?? {})),
        actor: principalOf(request).actor,
      });
      return reply.status(201).send(projectView(granted(created)));
    },
  );

  app.get(
    '/api/projects',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: 'List the projects.',
        querystring: z.strictObject({ cursor: cursor.optional(), limit }),
        response: { 200: pageOf(project) },
      },
    },
    ({ query }) =>
      answerPage('projects', query, async (page) => ok(await admin.projects.list(page)), projectView),
  );

  app.get(
    '/api/projects/:slug',
    {
      config: { access: SUPERVISION },
      schema: { tags, summary: 'Read a project.', params, response: { 200: project } },
    },
    async (request) => projectView(granted(await admin.projects.read(request.params.slug))),
  );

  const change = async (args: {
    slug: string;
    name?: string | undefined;
    settings?: WireProjectSettingsChange | undefined;
    actor: string;
  }) => {
    const { settings } = args;
    const changed = await admin.projects.change({
      slug: args.slug,
      name: args.name,
      settings: settings && ((present) => merged(settingsView(present), settings)),
      namesStrategy: settings?.strategy !== undefined,
      namesShards: settings?.shards !== undefined,
      actor: args.actor,
    });
    return projectView(granted(changed));
  };

  app.patch(
    '/api/projects/:slug',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Change the name or some settings.',
        description:
          'Settings that are not named keep their values. `overlap` is that of tasks imported from now on. When `shards` ' +
          'is named the answer comes when the tasks at rest have moved; if it is lost, the same request goes on.',
        params,
        body: projectChange,
        response: { 200: project },
      },
    },
    async (request) =>
      change({ slug: request.params.slug, ...request.body, actor: principalOf(request).actor }),
  );

  app.patch(
    '/api/projects/:slug/settings',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Change some settings.',
        params,
        body: projectSettingsChange,
        response: { 200: project },
      },
    },
    async (request) =>
      change({ slug: request.params.slug, settings: request.body, actor: principalOf(request).actor }),
  );

  for (const [action, status, summary] of [
    ['pause', 'paused', 'Give out no work until it is resumed. Open leases go on.'],
    ['resume', 'active', 'Give out work again.'],
    ['archive', 'archived', 'End the project for good. What it holds stays readable.'],
  ] as const) {
    app.post(
      `/api/projects/:slug/${action}`,
      {
        config: { access: action === 'archive' ? ADMIN : SUPERVISION },
        schema: { tags, summary, params, response: { 200: project } },
      },
      async (request) => {
        const { actor } = principalOf(request);
        const changed = await admin.projects.setStatus({ slug: request.params.slug, status, actor });
        return projectView(granted(changed));
      },
    );
  }

  app.get(
    '/api/projects/:slug/stats',
    {
      config: { access: SUPERVISION },
      schema: { tags, summary: 'Where the project stands.', params, response: { 200: projectStats } },
    },
    async (request) => {
      const { counters, live } = granted(await admin.projects.stats(request.params.slug));
      return {
        tasks: {
          total: counters.tasks,
          waiting: counters.waiting,
          held: counters.held,
          complete: counters.complete,
          cancelled: counters.cancelled,
        },
        answers: { submitted: counters.submitted, surplus: counters.surplus },
        ended: { skipped: counters.skipped, expired: counters.expired, abandoned: counters.abandoned },
        live: { ...live },
        cursor: formatFeedCursor(counters.lastSeqs),
      };
    },
  );
}
