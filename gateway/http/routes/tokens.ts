import { z } from 'zod';
import type { CreatedToken } from '../../../engine/admin/index.ts';
import { type AnnotatorId, asId } from '../../../engine/ids.ts';
import {
  keyCreate,
  me,
  pageOf,
  paging,
  smallIdParam,
  tokenCreate,
  tokenCreated,
  tokenRecord,
} from '../../../protocol/api/index.ts';
import { ADMIN, ANYBODY, type HttpApp, type HttpContext, principalOf } from '../app.ts';
import { answerPage } from '../paging.ts';
import { granted } from '../problem.ts';
import { tokenView } from '../views.ts';

const oneAnnotator = z.object({ annotatorId: smallIdParam });
const revoked = z.object({ revoked: z.literal(true) });

export function tokenRoutes(app: HttpApp, { admin }: HttpContext): void {
  const tags = ['tokens'];

  app.post(
    '/api/annotators/:annotatorId/tokens',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Make a token with which this annotator works. It is shown this once.',
        params: oneAnnotator,
        body: tokenCreate.nullish(),
        response: { 201: tokenCreated },
      },
    },
    async (request, reply) => {
      const created = await admin.tokens.createForAnnotator({
        annotatorId: asId<AnnotatorId>(request.params.annotatorId),
        name: request.body?.name ?? 'token',
        expiresAt: dateOf(request.body?.expiresAt),
        actor: principalOf(request).actor,
      });
      return reply
        .status(201)
        .header('cache-control', 'no-store')
        .send(createdView(granted(created)));
    },
  );

  app.get(
    '/api/annotators/:annotatorId/tokens',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: "List an annotator's tokens.",
        params: oneAnnotator,
        querystring: z.strictObject(paging),
        response: { 200: pageOf(tokenRecord) },
      },
    },
    ({ params, query }) => {
      const owner = asId<AnnotatorId>(params.annotatorId);
      return answerPage('tokens', query, (page) => admin.tokens.list(owner, page), tokenView);
    },
  );

  app.delete(
    '/api/annotators/:annotatorId/tokens/:tokenId',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Revoke a token. It stays in the list.',
        params: z.object({ annotatorId: smallIdParam, tokenId: smallIdParam }),
        response: { 200: revoked },
      },
    },
    async (request) => {
      const owner = asId<AnnotatorId>(request.params.annotatorId);
      const { actor } = principalOf(request);
      return granted(await admin.tokens.revoke({ owner, id: request.params.tokenId, actor }));
    },
  );
}

export function keyRoutes(app: HttpApp, { admin }: HttpContext): void {
  const tags = ['keys'];

  app.post(
    '/api/keys',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Make the key of a supervisor or an admin. It is shown this once.',
        body: keyCreate,
        response: { 201: tokenCreated },
      },
    },
    async (request, reply) => {
      const { role, name, expiresAt } = request.body;
      const { actor } = principalOf(request);
      const created = await admin.tokens.createKey({ role, name, expiresAt: dateOf(expiresAt), actor });
      return reply
        .status(201)
        .header('cache-control', 'no-store')
        .send(createdView(granted(created)));
    },
  );

  app.get(
    '/api/keys',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'List the keys.',
        querystring: z.strictObject(paging),
        response: { 200: pageOf(tokenRecord) },
      },
    },
    ({ query }) => answerPage('tokens', query, (page) => admin.tokens.list(null, page), tokenView),
  );

  app.delete(
    '/api/keys/:keyId',
    {
      config: { access: ADMIN },
      schema: {
        tags,
        summary: 'Revoke a key. It stays in the list.',
        params: z.object({ keyId: smallIdParam }),
        response: { 200: revoked },
      },
    },
    async (request) => {
      const { actor } = principalOf(request);
      return granted(await admin.tokens.revoke({ owner: null, id: request.params.keyId, actor }));
    },
  );
}

export function meRoutes(app: HttpApp, { admin }: HttpContext): void {
  app.get(
    '/api/me',
    {
      config: { access: ANYBODY },
      schema: { tags: ['me'], summary: 'Whose token this is.', response: { 200: me } },
    },
    async (request) => {
      const { role, tokenId, annotatorId } = principalOf(request);
      if (annotatorId === null) return { role, tokenId, annotator: null };
      const { id, externalId, name } = granted(await admin.annotators.read(annotatorId));
      return { role, tokenId, annotator: { id, externalId, name } };
    },
  );
}

function createdView(created: CreatedToken) {
  return { ...tokenView(created), token: created.token };
}

function dateOf(time: string | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time);
}
