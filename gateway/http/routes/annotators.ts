import { z } from 'zod';
import type { Page } from '../../../engine/admin/index.ts';
import { type AnnotatorId, asId } from '../../../engine/ids.ts';
import { ok } from '../../../engine/refusals.ts';
import {
  annotator,
  annotatorChange,
  annotatorCreate,
  annotatorQuery,
  annotatorStatusChange,
  membersAdd,
  pageOf,
  paging,
  slug,
  smallIdParam,
} from '../../../protocol/api/index.ts';
import { ADMIN, type HttpApp, type HttpContext, principalOf, SUPERVISION } from '../app.ts';
import { answerPage } from '../paging.ts';
import { granted } from '../problem.ts';
import { annotatorView } from '../views.ts';

const oneAnnotator = z.object({ annotatorId: smallIdParam });
const tags = ['annotators'];

export function annotatorRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.post(
    '/api/annotators',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Create an annotator.',
        description: 'Repeating an externalId answers 200 with the annotator who has it, unchanged.',
        body: annotatorCreate,
        response: { 200: annotator, 201: annotator },
      },
    },
    async (request, reply) => {
      const { externalId, name, capacity, skills } = request.body;
      const created = granted(
        await admin.annotators.create({
          externalId,
          name: name ?? externalId,
          capacity: capacity ?? 1,
          skills: skills ?? {},
          actor: principalOf(request).actor,
        }),
      );
      return reply.status(created.isNew ? 201 : 200).send(annotatorView(created.annotator));
    },
  );

  app.get(
    '/api/annotators',
    {
      config: { access: SUPERVISION },
      schema: {
        tags,
        summary: 'List the annotators.',
        querystring: annotatorQuery,
        response: { 200: pageOf(annotator) },
      },
    },
    async ({ query }) => {
      const { externalId, status } = query;
      const read = async (page: Page) => ok(await admin.annotators.list({ externalId, status }, page));
      return answerPage('annotators', query, read, annotatorView);
    },
  );

  app.get(
    '/api/annotators/:annotatorId',
    {
      config: { access: SUPERVISION },
      schema: { tags, summary: 'Read an annotator.', params: oneAnnotator, response: { 200: annotator } },
    },
    async ({ params }) =>
      annotatorView(granted(await admin.annotators.read(asId<AnnotatorId>(params.annotatorId)))),
  );

  app.patch(
    '/api/annotators/:annotatorId',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: "Change an annotator's name, capacity or skills.",
        params: oneAnnotator,
        body: annotatorChange,
        response: { 200: annotator },
      },
    },
    async (request) => {
      const id = asId<AnnotatorId>(request.params.annotatorId);
      const { actor } = principalOf(request);
      return annotatorView(granted(await admin.annotators.change({ id, ...request.body, actor })));
    },
  );

  for (const [action, summary] of [
    ['pause', 'Give this annotator no new work. Open leases go on.'],
    ['resume', 'Give this annotator work again.'],
    ['ban', 'Shut this annotator out. Open leases are revoked.'],
    ['unban', 'Let a banned annotator in again.'],
  ] as const) {
    app.post(
      `/api/annotators/:annotatorId/${action}`,
      {
        config: { access: SUPERVISION },
        schema: {
          tags,
          summary,
          params: oneAnnotator,
          body: annotatorStatusChange.nullish(),
          response: { 200: annotator },
        },
      },
      async (request) => {
        const id = asId<AnnotatorId>(request.params.annotatorId);
        const { actor } = principalOf(request);
        const reason = request.body?.reason;
        return annotatorView(granted(await admin.annotators.setStatus({ id, action, reason, actor })));
      },
    );
  }
}

export function memberRoutes(app: HttpApp, { admin }: HttpContext): void {
  const members = ['members'];

  app.get(
    '/api/projects/:slug/members',
    {
      config: { access: SUPERVISION },
      schema: {
        tags: members,
        summary: 'List the members of a project.',
        params: z.object({ slug }),
        querystring: z.strictObject(paging),
        response: { 200: pageOf(annotator) },
      },
    },
    ({ params, query }) =>
      answerPage('members', query, (page) => admin.annotators.members(params.slug, page), annotatorView),
  );

  app.post(
    '/api/projects/:slug/members',
    {
      config: { access: ADMIN },
      schema: {
        tags: members,
        summary: 'Add members. All of them, or none if one does not exist.',
        params: z.object({ slug }),
        body: membersAdd,
        response: { 200: z.object({ added: z.number().int() }) },
      },
    },
    async (request) => {
      const annotatorIds = request.body.annotatorIds.map((id) => asId<AnnotatorId>(id));
      const { actor } = principalOf(request);
      return granted(await admin.annotators.addMembers({ slug: request.params.slug, annotatorIds, actor }));
    },
  );

  app.delete(
    '/api/projects/:slug/members/:annotatorId',
    {
      config: { access: ADMIN },
      schema: {
        tags: members,
        summary: 'Take a member out.',
        params: z.object({ slug, annotatorId: smallIdParam }),
        response: { 200: z.object({ removed: z.boolean() }) },
      },
    },
    async (request) => {
      const annotatorId = asId<AnnotatorId>(request.params.annotatorId);
      const { actor } = principalOf(request);
      return granted(await admin.annotators.removeMember({ slug: request.params.slug, annotatorId, actor }));
    },
  );
}
