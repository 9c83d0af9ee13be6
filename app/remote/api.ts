import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { messageOf, systemErrorCode } from '../start-failure.ts';

const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const problem = z.object({
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** A server could not be reached, or said no. `code` is the server's, or `unreachable`. */
export class RemoteFailure extends Error {
  override readonly name = 'RemoteFailure';
  readonly code: string;
  readonly status: number | undefined;

  constructor(code: string, message: string, status?: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** A running server, seen through its HTTP API. */
export interface RemoteApi {
  readonly url: string;
  /** Sends a JSON body, if one is given, and reads a JSON answer. @throws RemoteFailure */
  call<T>(method: string, path: string, answer: z.ZodType<T>, body?: unknown): Promise<T>;
  /** Streams a body of any size up. @throws RemoteFailure */
  upload<T>(path: string, contentType: string, body: Readable, answer: z.ZodType<T>): Promise<T>;
  /** Streams an answer of any size down; a broken one is an error on the stream. @throws RemoteFailure */
  download(path: string): Promise<Readable>;
}

// Node's own http instead of fetch: an import or export may well take longer than fetch's fixed time limits.
export function remoteApi(args: { url: string; token: string }): RemoteApi {
  const base = args.url.replace(/\/+$/, '');

  async function send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: Readable,
  ): Promise<IncomingMessage> {
    const url = new URL(`${base}${path}`);
    const open = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = open(url, {
      method,
      headers: { ...headers, authorization: `Bearer ${args.token}`, accept: '*/*' },
    });
    const response = await exchange(request, body, base);
    if ((response.statusCode ?? 500) < 400) return response;
    try {
      throw await failureOf(response);
    } finally {
      // The rest of the body is not wanted: without this a large one would keep the process alive.
      request.destroy();
    }
  }

  return {
    url: base,
    async call(method, path, answer, body) {
      const text = body === undefined ? '' : JSON.stringify(body);
      const headers = {
        'content-length': String(Buffer.byteLength(text)),
        ...(text && { 'content-type': 'application/json' }),
      };
      return parseAnswer(await send(method, path, headers, Readable.from([text])), answer);
    },
    async upload(path, contentType, body, answer) {
      return parseAnswer(await send('POST', path, { 'content-type': contentType }, body), answer);
    },
    download: (path) => send('GET', path, {}, Readable.from([])),
  };
}

/** The answer may come, as a refusal, before the body has been sent: then the rest of the body does not matter. */
async function exchange(request: ClientRequest, body: Readable, base: string): Promise<IncomingMessage> {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  const sent = pipeline(body, request);
  try {
    return await Promise.race([answered, sent.then(() => answered)]);
  } catch (error) {
    // The server may have answered and closed while we were still sending.
    const late = await Promise.race([
      answered.catch(() => undefined),
      new Promise<undefined>((done) => setImmediate(done, undefined)),
    ]);
    if (late !== undefined) return late;
    throw unreachable(base, error);
  }
}

function unreachable(base: string, error: unknown): Error {
  const code = systemErrorCode(error);
  // What the body's own source broke on (a file that cannot be read) is no fault of the server.
  if (code === undefined || ['ENOENT', 'EACCES', 'EISDIR', 'EIO'].includes(code))
    return new RemoteFailure('failed', messageOf(error));
  const hint = code === 'ECONNREFUSED' ? ' Start one with `baton serve`, or name another with --url.' : '';
  return new RemoteFailure('unreachable', `No server answers at ${base} (${code}).${hint}`);
}

async function failureOf(response: IncomingMessage): Promise<RemoteFailure> {
  const text = await readText(response);
  const status = response.statusCode;
  const parsed = problem.safeParse(jsonOrUndefined(text));
  if (!parsed.success)
    return new RemoteFailure('failed', `The server answered with status ${status}.`, status);
  const where = (parsed.data.errors ?? [])
    .map((error) => `\n  ${error.path || '(whole)'}: ${error.message}`)
    .join('');
  const hint = status === 401 ? ' Give a token with --token or BATON_TOKEN.' : '';
  return new RemoteFailure(parsed.data.code, `${parsed.data.detail}${hint}${where}`, status);
}

async function parseAnswer<T>(response: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(jsonOrUndefined(await readText(response)));
  if (parsed.success) return parsed.data;
  throw new RemoteFailure(
    'failed',
    'The answer is not what a Baton server gives: is --url right?',
    response.statusCode,
  );
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > ANSWER_BYTES_MAX)
      throw new RemoteFailure('failed', 'The answer is far too long.', response.statusCode);
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the caller's schema says so.
    return undefined;
  }
}
