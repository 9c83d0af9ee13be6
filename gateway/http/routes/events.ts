import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { FeedEvent, FeedPage, FeedPlace } from '../../../engine/admin/index.ts';
import { eventPage, eventQuery, feedCursor, slug } from '../../../protocol/api/index.ts';
import { bearerToken } from '../access.ts';
import { type HttpApp, type HttpContext, SUPERVISION } from '../app.ts';
import { formatFeedCursor, parseFeedCursor } from '../feed-cursor.ts';
import type { Follower } from '../feed-followers.ts';
import { granted, ProblemError } from '../problem.ts';
import { answerWith } from '../stream-answer.ts';
import { eventView } from '../views.ts';

interface Place {
  readonly slug: string;
  readonly after: FeedPlace | 'latest';
  readonly limit: number;
}

export function eventRoutes(app: HttpApp, context: HttpContext): void {
  app.get(
    '/api/projects/:slug/events',
    {
      config: { access: SUPERVISION },
      schema: {
        tags: ['events'],
        summary: 'Follow what happens in a project, in order and without gaps.',
        description: [
          'Reads the events after a cursor; with `waitMs` it waits for the next one when there is none. With',
          '`Accept: text/event-stream` the answer is a stream of server-sent events that goes on until it is closed;',
          'its ids are cursors, so `Last-Event-ID` resumes it. A cursor is text to be kept and given back. In a project',
          'with several shards the events of each are in order and without gaps, those of different ones roughly in the',
          'order of their times. Events never hold task data, results or names.',
        ].join(' '),
        params: z.object({ slug }),
        querystring: eventQuery,
        response: {
          200: {
            description: 'The events.',
            content: {
              'application/json': { schema: eventPage },
              'text/event-stream': { schema: z.string() },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { query, params } = request;
      const place = { slug: params.slug, after: parseFeedCursor(query.after), limit: query.limit };
      const gone = goneSignal(reply);
      if ((request.headers.accept ?? '').includes('text/event-stream')) {
        const resumed = { ...place, after: resumeAfter(request) ?? place.after };
        const first = granted(await context.admin.feed.read(resumed.slug, resumed));
        const events = streamEvents(context, request, { ...place, after: first.after }, first, gone);
        // The stream ends when the server closes, and so must its connection; proxies must not hold events back.
        reply.type('text/event-stream').header('connection', 'close');
        reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
        return answerWith(reply, events);
      }
      const page = await readOrWait(context, place, query.waitMs, gone);
      return reply.send({ events: page.events.map(eventView), cursor: formatFeedCursor(page.after) });
    },
  );
}

function resumeAfter(request: FastifyRequest): FeedPlace | 'latest' | undefined {
  const header = request.headers['last-event-id'];
  if (header === undefined) return undefined;
  const cursor = feedCursor.safeParse(header);
  if (cursor.success) return parseFeedCursor(cursor.data);
  throw new ProblemError('malformed', undefined, {
    errors: [{ path: 'header.last-event-id', message: 'must be a cursor of the feed' }],
  });
}

/** Aborted when the client has gone, or the answer is complete. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort());
  return controller.signal;
}

async function readOrWait(
  { admin, followers }: HttpContext,
  place: Place,
  waitMs: number,
  gone: AbortSignal,
): Promise<FeedPage> {
  const first = granted(await admin.feed.read(place.slug, place));
  if (first.events.length > 0 || waitMs === 0) return first;
  const untilMs = performance.now() + waitMs;
  const follower = seatFor(followers.follow(first.projectId, gone));
  try {
    for (;;) {
      const page = granted(await admin.feed.read(place.slug, { ...place, after: first.after }));
      const leftMs = untilMs - performance.now();
      if (page.events.length > 0 || leftMs <= 0) return page;
      if ((await follower.next(leftMs)) === 'ended') return page;
    }
  } finally {
    follower.close();
  }
}

async function* streamEvents(
  { admin, followers, authenticator, config }: HttpContext,
  request: FastifyRequest,
  place: Place,
  first: FeedPage,
  gone: AbortSignal,
): AsyncGenerator<string> {
  const follower = seatFor(followers.follow(first.projectId, gone));
  try {
    yield `retry: 2000\n\n${first.events.map(eventText).join('')}`;
    let after = first.after;
    while (!gone.aborted) {
      const page = granted(await admin.feed.read(place.slug, { ...place, after }));
      after = page.after;
      if (page.events.length > 0) {
        yield page.events.map(eventText).join('');
        continue;
      }
      const wake = await follower.next(config.feedHeartbeatMs);
      if (wake === 'ended') return;
      if (wake === 'moved') continue;
      const principal = await authenticator.authenticate(bearerToken(request) ?? '');
      if (principal === undefined) return;
      yield ': still here\n\n';
    }
  } finally {
    follower.close();
  }
}

function seatFor(follower: Follower | undefined): Follower {
  if (follower !== undefined) return follower;
  throw new ProblemError('busy', 'Too many readers follow event feeds.', { retryAfterMs: 5_000 });
}

function eventText(event: FeedEvent): string {
  const view = eventView(event);
  return `id: ${view.cursor}\nevent: ${view.event}\ndata: ${JSON.stringify(view)}\n\n`;
}
