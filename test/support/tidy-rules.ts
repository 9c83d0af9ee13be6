import { posix } from 'node:path';

/** Something in a source file that is not allowed, in words for whoever has to mend it. */
export interface Finding {
  readonly file: string;
  readonly message: string;
}

export interface Source {
  /** From the root of the repository, with forward slashes. */
  readonly file: string;
  readonly text: string;
}

const LINES_MAX = 400;
const FOLDERS = [
  'machines',
  'engine',
  'quality',
  'protocol',
  'gateway',
  'client',
  'web',
  'app',
  'migrations',
  'test',
  'bench',
] as const;
type Folder = (typeof FOLDERS)[number];

interface Rule {
  /** Other folders of ours, or parts of them, that files here may import. */
  readonly ours: readonly string[];
  /** Packages that may be imported; undefined: any that the rules below do not keep for others. */
  readonly packages?: readonly string[];
}

/** What the gateway may know of the engine: its doors, and the words they are written in. */
const ENGINE_DOOR = [
  'engine/door.ts',
  'engine/ids.ts',
  'engine/refusals.ts',
  'engine/settings.ts',
  'engine/admin/',
];
const EVERYTHING = ['machines/', 'engine/', 'quality/', 'protocol/', 'gateway/', 'client/', 'migrations/'];

/** Who may import whom (ARCHITECTURE.md has the same table in words). Nobody imports app/ but tests and benches. */
const TABLE: Readonly<Record<Folder, Rule>> = {
  machines: { ours: [], packages: ['xstate'] },
  quality: { ours: [], packages: [] },
  engine: { ours: ['machines/', 'quality/'] },
  protocol: { ours: [], packages: ['zod'] },
  gateway: { ours: [...ENGINE_DOOR, 'protocol/'] },
  client: { ours: ['protocol/'], packages: ['socket.io-client', 'zod'] },
  web: { ours: ['client/', 'protocol/'] },
  app: { ours: EVERYTHING },
  migrations: { ours: [], packages: ['knex'] },
  test: { ours: [...EVERYTHING, 'app/', 'bench/'] },
  bench: { ours: [...EVERYTHING, 'app/', 'test/'] },
};

/** Packages that only some places may know, so that the rest can be tested, and changed, without them. */
const KEPT_FOR: readonly { package: RegExp; places: readonly string[] }[] = [
  {
    package: /^(knex|pg|pg-copy-streams|pg-query-stream)$/,
    places: ['engine/store/', 'app/', 'migrations/', 'knexfile.ts', 'test/', 'bench/'],
  },
  {
    package: /^(fastify|@fastify\/.+|fastify-.+|socket\.io|@socket\.io\/.+)$/,
    places: ['gateway/', 'app/', 'test/', 'bench/'],
  },
  { package: /^redis$/, places: ['engine/bus/', 'app/', 'test/', 'bench/'] },
  { package: /^socket\.io-client$/, places: ['client/', 'test/', 'bench/'] },
  {
    package: /^(commander|cli-progress)$/,
    places: ['app/', 'bench/', 'test/simulator/cli.ts', 'test/chaos/'],
  },
];

const PACKAGES_OF_TESTS = ['vitest', 'fast-check'];

/** Lines that must not stay. Written in halves, or these very rules would be found. */
const MARKERS: readonly { pattern: RegExp; message: string }[] = [
  { pattern: new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'})\\b`), message: 'an unfinished-work marker' },
  {
    pattern: new RegExp(`\\b(test|it|describe)\\.on${'ly'}\\b`),
    message: 'a test that switches the others off',
  },
  {
    pattern: new RegExp(`(:|\\bas|<)\\s*an${'y'}\\b(?=\\s*([,;)>[\\]|=}]|$))`),
    message: 'the type that turns checking off',
  },
  { pattern: new RegExp(`@ts-(ig${'nore'}|no${'check'})`), message: 'a comment that turns checking off' },
];

/** Everything wrong with one file. */
export function inspect(source: Source): Finding[] {
  return [...importFindings(source), ...textFindings(source), ...nameFindings(source)];
}

/** The modules that a source text imports, statically, dynamically or for their effect. */
export function importsOf(text: string): string[] {
  const patterns = [
    /^[ \t]*(?:import|export)\b[^;'"`]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^[ \t]*import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\(\s*['"]([^'"]+)['"]/g,
  ];
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''));
}

function importFindings({ file, text }: Source): Finding[] {
  const folder = FOLDERS.find((name) => file.startsWith(`${name}/`));
  const findings = importsOf(text).map((specifier) => {
    if (specifier.startsWith('node:')) return undefined;
    return specifier.startsWith('.')
      ? oursFinding(file, folder, specifier)
      : packageFinding(file, folder, specifier);
  });
  return findings.filter((message) => message !== undefined).map((message) => ({ file, message }));
}

function oursFinding(file: string, folder: Folder | undefined, specifier: string): string | undefined {
  if (!/\.(ts|tsx|js|json)$/.test(specifier)) return `imports ${specifier} without its extension`;
  const target = posix.join(posix.dirname(file), specifier);
  if (folder === undefined || target.startsWith(`${folder}/`) || target === 'package.json') return undefined;
  // A test beside the code may compare it with what the code itself must not know.
  const allowed = isTest(file) ? [...TABLE[folder].ours, ...EVERYTHING] : TABLE[folder].ours;
  return allowed.some((place) => target.startsWith(place))
    ? undefined
    : `${folder}/ may not import ${target}`;
}

function packageFinding(file: string, folder: Folder | undefined, specifier: string): string | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  if (PACKAGES_OF_TESTS.includes(name))
    return isTest(file) ? undefined : `imports ${name}, which is for tests`;
  const allowed = folder === undefined ? undefined : TABLE[folder].packages;
  if (allowed !== undefined && !allowed.includes(name))
    return `${folder}/ may not import the package ${name}`;
  const kept = KEPT_FOR.find((entry) => entry.package.test(name));
  if (kept === undefined || kept.places.some((place) => file.startsWith(place))) return undefined;
  return `imports ${name}, which is for ${kept.places.join(', ')} only`;
}

function textFindings({ file, text }: Source): Finding[] {
  const lines = text.split('\n');
  const findings: Finding[] = [];
  if (lines.length - 1 > LINES_MAX)
    findings.push({ file, message: `has ${lines.length - 1} lines; the most is ${LINES_MAX}` });
  for (const [index, line] of lines.entries()) {
    // Suppressed with a reason, which the linter demands.
    if (lines[index - 1]?.includes('biome-ignore lint/suspicious/noExplicitAny: ')) continue;
    for (const { pattern, message } of MARKERS) {
      if (pattern.test(line)) findings.push({ file, message: `line ${index + 1} holds ${message}` });
    }
    if (!isTest(file) && /^(export )?(let|var)\b/.test(line))
      findings.push({ file, message: `line ${index + 1} makes state of the module` });
  }
  return findings;
}

function nameFindings({ file }: Source): Finding[] {
  const base = posix.basename(file);
  if (!/^[a-z0-9]+([-.][a-z0-9]+)*\.(ts|js|tsx)$/.test(base) && !/^\d{14}_[a-z0-9_]+\.ts$/.test(base)) {
    return [{ file, message: 'has a name that is not kebab-case' }];
  }
  if (/^(utils?|helpers?|common|types|misc)\./.test(base))
    return [{ file, message: 'has a name that says nothing' }];
  return [];
}

function isTest(file: string): boolean {
  return file.startsWith('test/') || /\.test\.ts$/.test(file) || file === 'vitest.config.ts';
}
