import { parse } from 'yaml';
import { z } from 'zod';
import { readText } from './manifests.ts';

const seconds = z
  .string()
  .regex(/^\d+s$/)
  .transform((text) => Number.parseInt(text, 10));
const memory = z.strictObject({ memory: z.string().regex(/^\d+[MG]$/) });

/**
 * The part of the Compose specification that the file uses. Strict: a field that is misspelled, or at the wrong place, is
 * found. (No npm package that is kept up to date carries the official schema.)
 */
const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  command: z.array(z.string()).optional(),
  restart: z.literal('unless-stopped'),
  stop_grace_period: seconds.optional(),
  read_only: z.literal(true).optional(),
  shm_size: z.string().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal('service_healthy') })).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
  healthcheck: z.strictObject({
    test: z.tuple([z.literal('CMD')], z.string()),
    interval: seconds,
    timeout: seconds,
    start_period: seconds,
    start_interval: seconds,
    retries: z.int(),
  }),
  deploy: z.strictObject({ resources: z.strictObject({ limits: memory, reservations: memory }) }),
});
export type ComposeService = z.output<typeof service>;

const project = z
  .looseObject({
    name: z.string(),
    services: z.record(z.string(), service),
    volumes: z.record(z.string(), z.null()),
  })
  .refine((file) =>
    Object.keys(file).every((key) => ['name', 'services', 'volumes'].includes(key) || key.startsWith('x-')),
  );

/** deploy/compose.yaml as Compose reads it: merged, and with variables put in. @throws what is wrong. */
export function readCompose(variables: Readonly<Record<string, string>>): z.output<typeof project> {
  const file: unknown = parse(readText('deploy/compose.yaml'), {
    merge: true,
    strict: true,
    uniqueKeys: true,
  });
  return project.parse(withVariables(file, variables));
}

function withVariables(value: unknown, variables: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') return interpolated(value, variables);
  if (Array.isArray(value)) return value.map((item) => withVariables(item, variables));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withVariables(item, variables)]),
  );
}

/** `$$` is a dollar sign, `${NAME:?why}` must be set, `${NAME:-this}` need not. */
function interpolated(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    /\$\$|\$\{(\w+)(?::([?-])([^}]*))?\}/g,
    (all, name: string, how: string, rest: string) => {
      if (all === '$$') return '$';
      const value = variables[name];
      if (value) return value;
      if (how === '-') return rest;
      throw new Error(`${name}: ${rest}`);
    },
  );
}
