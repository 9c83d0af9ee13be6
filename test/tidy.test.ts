import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../app/migrations.ts';
import { importsOf, inspect, type Source } from './support/tidy-rules.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NOT_OURS = ['node_modules', '.git', '.baton', 'samples', 'docs', 'coverage', 'dist'];

function sources(directory: string): Source[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return NOT_OURS.includes(entry.name) ? [] : sources(path);
    if (!/\.(ts|tsx|js)$/.test(entry.name)) return [];
    return [{ file: relative(ROOT, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }];
  });
}

describe('the repository', () => {
  const all = sources(ROOT);

  test('was found', () => {
    expect(all.map((source) => source.file)).toEqual(
      expect.arrayContaining(['engine/door.ts', 'app/bin.js', 'test/tidy.test.ts']),
    );
  });

  test('keeps to the import table and the rules of the house', () => {
    expect(all.flatMap(inspect)).toEqual([]);
  });

  test('names every migration in app/migrations.ts', () => {
    const files = readdirSync(join(ROOT, 'migrations')).filter((name) => name.endsWith('.ts'));
    expect(Object.keys(MIGRATIONS).sort()).toEqual(files.sort());
  });
});

/** Lines that the rules look for would be found in this file too: the samples below are put together at run time. */
const ANY = 'an'.concat('y');
const LET = 'le'.concat('t');

describe('the rules', () => {
  test.each<[string, string, string]>([
    ['machines/task.ts', `import { z } from 'zod';`, 'may not import the package zod'],
    ['machines/task.ts', `import { x } from '../engine/door.ts';`, 'may not import engine/door.ts'],
    ['engine/shard/shard.ts', `import knex from 'knex';`, 'imports knex'],
    [
      'engine/shard/shard.ts',
      `import {\n  type A,\n  b,\n} from '../../gateway/http/index.ts';`,
      'may not import gateway/http/index.ts',
    ],
    ['engine/shard/shard.ts', `import { Server } from 'socket.io';`, 'imports socket.io'],
    ['quality/score.ts', `import { z } from 'zod';`, 'may not import the package zod'],
    [
      'protocol/api/x.ts',
      `import type { A } from '../../engine/settings.ts';`,
      'may not import engine/settings.ts',
    ],
    [
      'gateway/http/x.ts',
      `import { x } from '../../engine/shard/shard.ts';`,
      'may not import engine/shard/shard.ts',
    ],
    ['gateway/http/x.ts', `const knex = await import('knex');`, 'imports knex'],
    ['client/x.ts', `export { x } from '../engine/door.ts';`, 'may not import engine/door.ts'],
    ['client/x.ts', `import pino from 'pino';`, 'may not import the package pino'],
    ['engine/x.ts', `import '../app/config.ts';`, 'may not import app/config.ts'],
    ['gateway/x.ts', `import { test } from 'vitest';`, 'which is for tests'],
    ['engine/x.ts', `import { y } from './y';`, 'without its extension'],
    ['engine/x.ts', `const y = z as ${ANY};`, 'turns checking off'],
    ['engine/x.ts', `function f(y: ${ANY}) {}`, 'turns checking off'],
    ['engine/x.ts', `${LET} counter = 0;`, 'state of the module'],
    ['engine/x.ts', `export ${LET} counter = 0;`, 'state of the module'],
    ['engine/x.ts', `// TO${'DO'}: later`, 'unfinished-work marker'],
    ['engine/x.test.ts', `test.on${'ly'}('x', () => {});`, 'switches the others off'],
    ['engine/x.ts', '\n'.repeat(401), 'has 401 lines'],
    ['engine/SomeThing.ts', '', 'not kebab-case'],
    ['engine/utils.ts', '', 'says nothing'],
  ])('find what is wrong in %s (%#)', (file, text, message) => {
    const findings = inspect({ file, text });
    expect(findings).toHaveLength(1);
    expect(findings[0]?.message).toContain(message);
  });

  test.each<[string, string]>([
    ['engine/store/x.ts', `import type { Knex } from 'knex';`],
    ['engine/x.test.ts', `import { test } from 'vitest';\nimport { x } from '../machines/index.ts';`],
    [
      'gateway/http/x.ts',
      `import type { Engine } from '../../engine/door.ts';\nimport fastify from 'fastify';`,
    ],
    ['app/x.ts', `import { x } from '../gateway/http/index.ts';\nimport { y } from './y.ts';`],
    ['client/x.ts', `import { io } from 'socket.io-client';\nimport { x } from '../protocol/errors.ts';`],
    ['engine/x.ts', `function f() {\n  ${LET} here = 'company: many';\n}`],
    ['migrations/20261123000000_foundation.ts', `import type { Knex } from 'knex';`],
  ])('let what is right in %s pass (%#)', (file, text) => {
    expect(inspect({ file, text })).toEqual([]);
  });

  test('see every kind of import', () => {
    const text = [
      `import a from 'a';`,
      `import type { B } from "b";`,
      `import {\n  c,\n  d,\n} from './c.ts';`,
      `export * from './e.ts';`,
      `import './f.ts';`,
      `  const g = await import('g');`,
      `const h = require('h');`,
      `// a sentence about what to import from 'nowhere'`,
    ].join('\n');
    expect(importsOf(text).sort()).toEqual(['./c.ts', './e.ts', './f.ts', 'a', 'b', 'g', 'h']);
  });
});
