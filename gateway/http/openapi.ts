import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { RouteOptions } from 'fastify';
import { createJsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { HttpApp } from './app.ts';
import { IMPORT_TYPES, IMPORT_URL } from './routes/imports.ts';

const PROBLEM = {
  description: 'The request was refused; see the code.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const IMPORT_BODY = {
  required: true,
  content: {
    'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/TaskInputInput' } } },
    'application/x-ndjson': { schema: { $ref: '#/components/schemas/TaskInputInput' } },
    'text/csv': { schema: { type: 'string' } },
  },
} as const satisfies { required: boolean; content: Record<(typeof IMPORT_TYPES)[number], unknown> };
