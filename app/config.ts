import { hostname } from 'node:os';
import { z } from 'zod';
import { defaultDataDirectory } from './default-data-directory.ts';
import { StartFailure } from './start-failure.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const ROLES = ['gateway', 'engine'] as const;
const TOKEN_LENGTH_MIN = 8;

/** The settings of a server, complete and checked. */
export interface Config {
  readonly port: number;
  readonly host: string;
  readonly dataDirectory: string;
  /** Undefined: the embedded Postgres of the data directory. */
  readonly databaseUrl: string | undefined;
  /** How the processes of a cluster reach each other; one process alone needs none. */
  readonly redisUrl: string | undefined;
  /** Whether this process brings the schema up to date when it starts; otherwise an older one is refused. */
  readonly migrate: boolean;
  readonly roles: readonly (typeof ROLES)[number][];
  readonly adminToken: string | undefined;
  /** Whether an empty database gets the sample project. */
  readonly sample: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly nodeName: string;
  /** Origins of browser pages, beside the server's own, that may connect. */
  readonly allowedOrigins: readonly string[];
  /** A proxy in front sets X-Forwarded-For: clients' addresses are taken from it. */
  readonly trustProxy: boolean;
}

const SETTINGS = z.object({
  PORT: z
    .string()
    .regex(/^\d{1,5}$/, 'must be a port number from 0 to 65535 (0: any free one)')
    .transform(Number)
    .refine((port) => port <= 65_535, 'must be a port number from 0 to 65535 (0: any free one)')
    .default(3000),
  HOST: z
    .string()
    .regex(/^[\w.:%-]+$/, 'must be a host name or an address, such as 127.0.0.1 or 0.0.0.0')
    .default('127.0.0.1'),
  BATON_DATA_DIR: z.string().default(() => defaultDataDirectory(process.cwd(), process.getuid?.() === 0)),
  DATABASE_URL: url(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/database').optional(),
  REDIS_URL: url(['redis:', 'rediss:'], 'redis://host:6379').optional(),
  BATON_MIGRATE: z
    .enum(['0', '1'], 'must be 0 (refuse an older schema) or 1 (bring the schema up to date at start)')
    .transform((text) => text === '1')
    .default(true),
  BATON_ROLES: z
    .string()
    .transform((text) => [...new Set(text.split(',').map((role) => role.trim()))])
    .pipe(z.array(z.enum(ROLES, `must name roles out of ${ROLES.join(' and ')}, with a comma between them`)))
    .default([...ROLES]),
  BATON_ADMIN_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]*$/, 'must be of printable ASCII characters, without spaces')
    .min(TOKEN_LENGTH_MIN, `must be at least ${TOKEN_LENGTH_MIN} characters long`)
    .max(200, 'must be at most 200 characters long')
    .optional(),
  BATON_SAMPLE: z
    .enum(['0', '1'], 'must be 0 (no sample project) or 1 (an empty database gets one)')
    .transform((text) => text === '1')
    .default(true),
  BATON_TRUST_PROXY: z
    .enum(
      ['0', '1'],
      'must be 0 or 1 (a proxy in front sets X-Forwarded-For, and nobody else can reach this port)',
    )
    .transform((text) => text === '1')
    .default(false),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
  BATON_NODE_NAME: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'must be 1 to 100 letters, digits, dots, dashes or underscores')
    .optional(),
  BATON_ALLOWED_ORIGINS: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((origin) => origin.trim())
        .filter(Boolean),
    )
    .refine(
      (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
      'must be origins such as https://label.example.org, with commas between them',
    )
    .default([]),
});

const SPLIT_NEEDS = `must be ${ROLES.join(',')} in a process without DATABASE_URL and REDIS_URL: it would be alone`;

/** The names that a server reads from its environment. */
export const SETTING_NAMES = Object.keys(SETTINGS.shape);

/**
 * Reads the settings of a server from its environment. An empty value counts as not set.
 *
 * @throws StartFailure bad_setting, with a line for every setting that is wrong. Never with a value: some are secrets.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    SETTING_NAMES.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  );
  const parsed = SETTINGS.safeParse(given);
  const wrong = [
    ...(parsed.error?.issues ?? []).map((issue) => `${String(issue.path[0])} ${issue.message}.`),
    ...misspelled(environment),
    ...(parsed.success && isSplitAlone(parsed.data) ? [`BATON_ROLES ${SPLIT_NEEDS}.`] : []),
  ];
  if (!parsed.success || wrong.length > 0) {
    throw new StartFailure(
      'bad_setting',
      [...new Set(wrong)].join('\n'),
      'Correct the environment and start again.',
    );
  }
  const settings = parsed.data;
  return {
    port: settings.PORT,
    host: settings.HOST,
    dataDirectory: settings.BATON_DATA_DIR,
    databaseUrl: settings.DATABASE_URL,
    redisUrl: settings.REDIS_URL,
    migrate: settings.BATON_MIGRATE,
    roles: settings.BATON_ROLES,
    adminToken: settings.BATON_ADMIN_TOKEN,
    sample: settings.BATON_SAMPLE,
    logLevel: settings.LOG_LEVEL,
    nodeName: settings.BATON_NODE_NAME ?? `${hostname()}-${process.pid}`,
    allowedOrigins: settings.BATON_ALLOWED_ORIGINS,
    trustProxy: settings.BATON_TRUST_PROXY,
  };
}

/** A gateway or an engine alone could do nothing, and a second process must find the first one's database. */
function isSplitAlone(settings: z.output<typeof SETTINGS>): boolean {
  const isSplit = settings.BATON_ROLES.length < ROLES.length;
  return isSplit && (settings.DATABASE_URL === undefined || settings.REDIS_URL === undefined);
}

/** BATON_DATADIR set by mistake would silently start an empty server: names of ours that we do not know are errors. */
function misspelled(environment: Readonly<Record<string, string | undefined>>): string[] {
  const clientNames = ['BATON_URL', 'BATON_TOKEN'];
  return Object.keys(environment)
    .filter(
      (name) => name.startsWith('BATON_') && !SETTING_NAMES.includes(name) && !clientNames.includes(name),
    )
    .map((name) => `${name} is not a setting of Baton; it knows ${SETTING_NAMES.join(', ')}.`);
}

function url(protocols: readonly string[], example: string) {
  return z
    .string()
    .refine(
      (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
      `must be a URL such as ${example}`,
    );
}
