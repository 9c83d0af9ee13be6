import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../../app/migrations.ts';
import { stopLeftPostgres } from '../../app/postgres/index.ts';
import { temporaryDirectory } from '../support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runBaton, type ServerProcess, startServer } from '../support/server-process.ts';

const directory = temporaryDirectory();
const context: { server?: ServerProcess; database?: TestDatabase } = {};

/** What a user on this machine has set: the server's address; the token is found in its data directory. */
function env(): Record<string, string> {
  return { BATON_URL: context.server?.url ?? '', BATON_DATA_DIR: directory };
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

beforeAll(async () => {
  context.database = await createTestDatabase();
  context.server = await startServer({
    BATON_DATA_DIR: directory,
    DATABASE_URL: context.database.url,
    BATON_SAMPLE: '0',
  });
  const { url, adminToken } = context.server;
  const response = await fetch(`${url}/api/projects`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ slug: 'reviews' }),
  });
  expect(response.status).toBe(201);
});

afterAll(async () => {
  context.server?.kill('SIGINT');
  await context.server?.ended;
  await context.database?.drop();
  rmSync(directory, { recursive: true, force: true });
});

describe('help', () => {
  test('names every command, with examples', async () => {
    const { code, stdout } = await runBaton(['--help']);
    expect(code).toBe(0);
    for (const command of ['serve', 'migrate', 'import', 'export', 'token', 'doctor']) {
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
      const own = await runBaton(command === 'token' ? ['token', 'create', '--help'] : [command, '--help']);
      expect(own).toMatchObject({ code: 0, stderr: '' });
      expect(own.stdout).toContain('Examples:');
      expect(own.stdout).toContain('--json');
    }
  });

  test('wrong usage exits with 2 and says what is wrong', async () => {
    for (const [args, message] of [
      [['fly'], "unknown command 'fly'"],
      [['import', 'x.jsonl'], "required option '--project <slug>' not specified"],
      [['export', '--project', 'p', '--format', 'xml'], 'Allowed choices are jsonl, json, csv'],
      [['import', 'tasks.txt', '--project', 'p'], 'give --format'],
      [['import', '/nowhere/tasks.csv', '--project', 'p'], 'ENOENT'],
      [['export', '--project', 'p', '--url', 'nonsense'], 'is not a URL'],
      [['export', '--project', 'p', '--url', 'http://baton.invalid'], 'a token is needed'],
    ] as const) {
      const result = await runBaton(args);
      expect(result.stderr).toContain(message);
      expect(result).toMatchObject({ code: 2, stdout: '' });
    }
  });
});

describe('import', () => {
  test('reads NDJSON, JSON and CSV, and counts what was there', async () => {
    const ndjson = file(
      'tasks.jsonl',
      '{"externalId":"a","data":{"text":"one"}}\n{"externalId":"b","data":{"text":"two"}}\n',
    );
    const json = file(
      'tasks.json',
      '[{"externalId":"b","data":{"text":"two"}},{"externalId":"c","data":{"text":"three"}}]',
    );
    const csv = file('tasks.csv', 'externalId,text\nd,four\ne,five\n');
    const args = ['--project', 'reviews', '--json'];
    const answers = [];
    for (const path of [ndjson, json, csv]) {
      const { code, stdout } = await runBaton(['import', path, ...args], env());
      expect(code).toBe(0);
      answers.push(JSON.parse(stdout));
    }
    expect(answers).toMatchObject([
      { created: 2, duplicates: 0 },
      { created: 1, duplicates: 1 },
      { created: 2, duplicates: 0 },
    ]);
  });

  test('reads standard input, creates what it can, and exits with 1 when a line was rejected', async () => {
    const input = '{"externalId":"f","data":1}\nnonsense\n{"externalId":"g","data":2}\n';
    const result = await runBaton(
      ['import', '-', '--format', 'ndjson', '--project', 'reviews'],
      env(),
      input,
    );
    expect(result).toMatchObject({ code: 1, stdout: 'created 2, duplicates 0, rejected 1\n' });
    expect(result.stderr).toContain('line 2: ');
  });

  test('says what the server says', async () => {
    const path = file('one.jsonl', '{"data":1}\n');
    const missing = await runBaton(['import', path, '--project', 'nowhere'], env());
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('nowhere') });
    const stranger = await runBaton(
      ['import', path, '--project', 'reviews', '--token', 'x'.repeat(40)],
      env(),
    );
    expect(stranger).toMatchObject({ code: 1, stderr: expect.stringContaining('Give a token') });
    const nobody = await runBaton(
      ['import', path, '--project', 'reviews', '--url', 'http://127.0.0.1:1'],
      env(),
    );
    expect(nobody).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No server answers at http://127.0.0.1:1'),
    });
  });

  test('stops at once when a large file is refused', async () => {
    const path = file('large.jsonl', '{"data":"0123456789"}\n'.repeat(500_000));
    const result = await runBaton(['import', path, '--project', 'nowhere'], env());
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('nowhere') });
  });
});

describe('export', () => {
  test('writes to a file that appears when it is complete, or to standard output', async () => {
    const out = join(directory, 'out.csv');
    const result = await runBaton(
      ['export', '--project', 'reviews', '--format', 'csv', '--out', out, '--json'],
      env(),
    );
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toEqual({ file: out, bytes: readFileSync(out).length });
    expect(readFileSync(out, 'utf8')).toMatch(/^[a-z_]*task/i);
    expect(await runBaton(['export', '--project', 'reviews'], env())).toMatchObject({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  test('leaves nothing behind when it breaks off', async () => {
    const broken: Server = createServer((_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('half', () => response.destroy());
    });
    await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
    const address = broken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const out = join(directory, 'half.jsonl');
    const args = [
      'export',
      '--project',
      'p',
      '--out',
      out,
      '--token',
      'any-token-at-all',
      '--url',
      `http://127.0.0.1:${port}`,
    ];
    const result = await runBaton(args);
    broken.close();
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('broke off') });
    expect(existsSync(out) || existsSync(`${out}.part`)).toBe(false);
  });
});

describe('token', () => {
  test('makes an annotator and a token that works, and another one for the same annotator', async () => {
    const first = await runBaton(['token', 'create', 'ann', '--name', 'Ann'], env());
    expect(first).toMatchObject({ code: 0, stderr: '' });
    const second = await runBaton(['token', 'create', 'ann', '--json'], env());
    const made: unknown = JSON.parse(second.stdout);
    expect(made).toMatchObject({ externalId: 'ann', token: expect.any(String) });
    const me = await fetch(`${context.server?.url}/api/me`, {
      headers: { authorization: `Bearer ${first.stdout.trim()}` },
    });
    expect(await me.json()).toMatchObject({ annotator: { externalId: 'ann', name: 'Ann' } });
  });
});

describe('migrate', () => {
  test('makes a database and says what it did, then that there is nothing to do', async () => {
    const fresh = temporaryDirectory();
    try {
      const first = await runBaton(['migrate', '--json'], { BATON_DATA_DIR: fresh });
      expect(JSON.parse(first.stdout)).toEqual({ applied: Object.keys(MIGRATIONS) });
      const second = await runBaton(['migrate'], { BATON_DATA_DIR: fresh });
      expect(second).toMatchObject({ code: 0, stdout: 'The schema is up to date.\n', stderr: '' });
    } finally {
      await stopLeftPostgres(fresh);
      rmSync(fresh, { recursive: true, force: true });
    }
  });
});

describe('doctor', () => {
  test('finds nothing wrong with a server that runs', async () => {
    const url = new URL(context.server?.url ?? '');
    const settings = { DATABASE_URL: context.database?.url ?? '', BATON_DATA_DIR: directory, PORT: url.port };
    const { code, stdout } = await runBaton(['doctor', '--json'], settings);
    const { findings } = JSON.parse(stdout);
    expect(findings.filter((finding: { verdict: string }) => finding.verdict === 'fail')).toEqual([]);
    expect(findings).toContainEqual({
      check: 'schema',
      verdict: 'ok',
      message: expect.stringContaining('Up to date'),
    });
    expect(code).toBe(0);
  });

  test('says what is wrong and what to do, and exits with 1', async () => {
    const setting = await runBaton(['doctor'], { PORT: 'http' });
    expect(setting).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^fail {2}settings .*PORT must be.*\n +-> /),
    });
    const away = await runBaton(['doctor'], {
      DATABASE_URL: 'postgres://a:b@127.0.0.1:1/c',
      BATON_DATA_DIR: directory,
      PORT: '0',
    });
    expect(away).toMatchObject({ code: 1, stdout: expect.stringMatching(/^fail {2}postgres/m) });
  });
});
