import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';

/** Answers with text that is made while it is read. The response schema describes it and has no part in it. */
export function answerWith(reply: FastifyReply, pieces: AsyncIterable<string>): FastifyReply {
  return reply.serializer(String).send(Readable.from(pieces, { objectMode: false }));
}
