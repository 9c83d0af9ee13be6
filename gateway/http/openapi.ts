import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { HttpApp } from './app.ts';
import { IMPORT_TYPES, IMPORT_URL } from './routes/imports.ts';

const METHODS = ['get', 'post', 'patch', 'delete'] as const;

const PROBLEM = {
  description: 'The request was refused; the code says why.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

type Transform = NonNullable<FastifyDynamicSwaggerOptions['transform']>;
type TransformObject = NonNullable<FastifyDynamicSwaggerOptions['transformObject']>;

/** Serves OpenAPI 3.1, made from the schemas that check the requests, at /docs (to read) and /docs/json. */
export async function describeApi(app: HttpApp, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Baton',
        version,
        description:
          'Assignment of annotation tasks. Errors are application/problem+json with a `code` and `retryable`; ' +
          'calls that are retried with the same ids do nothing twice.',
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
    },
    transform: describeRoute,
    transformObject: completeDocument,
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
}

const describeRoute: Transform = (document) => {
  const transformed = jsonSchemaTransform(document);
  const access = document.route.config?.access;
  if (access === 'public') return { ...transformed, schema: { ...transformed.schema, security: [] } };
  const roles = access === undefined ? 'nobody' : access.join(', ');
  const description = [transformed.schema.description, `Roles: ${roles}.`].filter(Boolean).join('\n\n');
  return { ...transformed, schema: { ...transformed.schema, description } };
};

/** Adds what the schemas of single routes do not say: problems, and the body that the import reads by itself. */
const completeDocument: TransformObject = (document) => {
  const whole = jsonSchemaTransformObject(document);
  const importPath = IMPORT_URL.replace(':slug', '{slug}');
  for (const [path, item] of Object.entries(whole.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item?.[method];
      if (operation === undefined) continue;
      operation.responses = { ...operation.responses, default: PROBLEM };
      if (path === importPath && method === 'post') operation.requestBody = importBody();
    }
  }
  return withoutUnused(whole);
};

/** Every named schema comes in the form of requests and in that of answers; most are used in one of them alone. */
function withoutUnused(whole: ReturnType<TransformObject>): ReturnType<TransformObject> {
  if (!('components' in whole)) return whole;
  const schemas = whole.components?.schemas ?? {};
  const used = new Set<string>();
  const waiting = namesIn(whole.paths);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    waiting.push(...namesIn(schemas[name]));
  }
  for (const name of Object.keys(schemas)) if (!used.has(name)) delete schemas[name];
  return whole;
}

function namesIn(part: unknown): string[] {
  return [...JSON.stringify(part ?? null).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
    ([, name]) => name ?? '',
  );
}

function importBody() {
  const task = { $ref: '#/components/schemas/NewTaskInput' };
  const schemas: Record<(typeof IMPORT_TYPES)[number], object> = {
    'application/json': { type: 'array', items: task },
    'application/x-ndjson': task,
    'text/csv': { type: 'string' },
  };
  return {
    required: true,
    content: Object.fromEntries(IMPORT_TYPES.map((type) => [type, { schema: schemas[type] }])),
  };
}
