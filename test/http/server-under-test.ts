import { Writable } from 'node:stream';
import { pino } from 'pino';
import { type Admin, createAdmin } from '../../engine/admin/index.ts';
import {
  createEngine,
  type Database,
  type Engine,
  openDatabase,
  openPostgresStore,
} from '../../engine/index.ts';
import { createAuthenticator } from '../../gateway/auth/authenticator.ts';
import { createHttp, type HttpApp, type HttpConfig } from '../../gateway/http/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

export const ADMIN_TOKEN = 'admin-token-of-these-tests';

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
  /** The JSON of the body, as unchecked as JSON.parse leaves it: assertions look into answers of every shape. */
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface ServerUnderTest {
  readonly app: HttpApp;
  readonly admin: Admin;
  readonly engine: Engine;
  readonly db: Database;
  readonly database: TestDatabase;
  /** Everything that was logged, as text. */
  readonly log: () => string;
  /** Calls as the admin unless another token, or none (null), is given. Bodies are sent as JSON unless they are text. */
  call(method: string, path: string, body?: unknown, more?: CallMore): Promise<Answer>;
  createProject(slug: string, settings?: Record<string, unknown>): Promise<Answer>;
  createAnnotator(externalId: string): Promise<{ id: number; token: string }>;
  stop(): Promise<void>;
}

export interface CallMore {
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
}

/** The HTTP side over the real engine and a database of its own, or a migrated one that is given. */
export async function startServer(
  config: Partial<HttpConfig> = {},
  given?: TestDatabase,
): Promise<ServerUnderTest> {
  const database = given ?? (await createTestDatabase());
  const db = openDatabase({ url: database.url, poolMax: 6, applicationName: 'baton admin' });
  const store = openPostgresStore(database.url);
  const engine = createEngine({ store, nodeName: 'test', version: '0', onIncident: () => undefined });
  await engine.start();
  const admin = createAdmin({ db, engine });
  await admin.ensureAdminToken(ADMIN_TOKEN);
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const app = await createHttp({
    engine,
    admin,
    authenticator: createAuthenticator({ admin }),
    logger: pino({ level: 'trace' }, sink),
    config,
  });

  const call: ServerUnderTest['call'] = async (method, path, body, more = {}) => {
    const token = more.token === undefined ? ADMIN_TOKEN : more.token;
    const isText = typeof body === 'string' || Buffer.isBuffer(body);
    const response = await app.inject({
      method: method as 'GET',
      url: path,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...more.headers,
      },
      ...(body === undefined ? {} : { payload: isText ? body : JSON.stringify(body) }),
    });
    return {
      status: response.statusCode,
      headers: response.headers,
      text: response.body,
      get body() {
        return JSON.parse(response.body);
      },
    };
  };

  return {
    app,
    admin,
    engine,
    db,
    database,
    log: () => lines.join(''),
    call,
    createProject: (slug, settings = {}) => call('POST', '/api/projects', { slug, settings }),
    async createAnnotator(externalId) {
      const annotator = await call('POST', '/api/annotators', { externalId, name: `Name of ${externalId}` });
      const token = await call('POST', `/api/annotators/${annotator.body.id}/tokens`);
      return { id: annotator.body.id, token: token.body.token };
    },
    async stop() {
      await app.close();
      await engine.stop();
      await store.close();
      await db.destroy();
      await database.drop();
    },
  };
}
