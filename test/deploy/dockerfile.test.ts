import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { posix } from 'node:path';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { importsOf } from '../support/tidy-rules.ts';
import { readImage } from './image.ts';
import { ROOT, readText } from './manifests.ts';

const image = readImage();
const argumentsOf = (name: string) =>
  image.instructions.filter(([one]) => one === name).map(([, text]) => text);

describe('the Dockerfile', () => {
  test('is one that the linter finds nothing in', () => {
    expect(validate(image.text)).toEqual([]);
  });

  test('builds in stages, on one slim image of the Node that is asked for, by its version', () => {
    const images = image.stages.map((stage) => stage.getImage());
    expect(images.length).toBeGreaterThan(1);
    expect(new Set(images).size).toBe(1);
    expect(images[0]).toMatch(/^node:20\.(19|[2-9]\d)\.\d+-\w+-slim$/);
  });

  test('installs from the lock file, without what only developers need', () => {
    expect(image.text).toMatch(/^RUN npm ci --omit=dev /m);
    expect(image.text).not.toMatch(/npm install|--omit=optional|curl|wget|apt-get/);
  });

  test('runs node itself, as a user who is not root, by number', () => {
    expect(argumentsOf('USER')).toEqual(['1000:1000']);
    expect(image.entrypoint).toEqual(['node', 'app/bin.js']);
    expect(image.command).toEqual(['serve']);
    expect(argumentsOf('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(image.environment).toMatchObject({
      NODE_ENV: 'production',
      TSX_DISABLE_CACHE: '1',
      HOST: '0.0.0.0',
    });
    expect(argumentsOf('EXPOSE')).toEqual([image.environment.PORT]);
  });

  test('copies the folders that the server is made of, and no others', () => {
    const folders = image.copied.filter((path) => !path.includes('.') && path !== 'LICENSE');
    expect(folders.sort()).toEqual([...foldersOfServer()].sort());
    for (const path of image.copied) expect(existsSync(`${ROOT}${path}`), path).toBe(true);
  });

  test('finds in its context what it copies, and nothing else is there', () => {
    const lines = readText('.dockerignore').split('\n');
    const letIn = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(lines.find((line) => line !== '' && !line.startsWith('#'))).toBe('*');
    expect(letIn.sort()).toEqual([...new Set(image.copied)].sort());
    expect(lines).toContain('**/*.test.ts');
  });

  test.each([
    [200, 0],
    [503, 1],
  ])('checks its health: an answer of %i makes it end with %i', async (status, code) => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.writeHead(status).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    expect(await endOf(image.healthCheck, { PORT: String(address.port) })).toBe(code);
    server.close();
    expect(asked).toEqual(['/health/live']);
  });

  test('says that it is ill when nobody answers', async () => {
    expect(await endOf(image.healthCheck, { PORT: '1' })).toBe(1);
  });
});

/** Runs a command in exec form, with this Node. @returns its exit code. */
async function endOf([program, ...args]: readonly string[], env: Record<string, string>): Promise<unknown> {
  expect(program).toBe('node');
  const [code]: unknown[] = await once(spawn(process.execPath, args, { env, stdio: 'ignore' }), 'exit');
  return code;
}

/** `app`, what its files import or read by address, and what those import in turn. */
function foldersOfServer(): Set<string> {
  const found = new Set(['app']);
  // A set that grows while it is walked through: every folder is looked at once.
  for (const folder of found) {
    for (const file of sourcesIn(folder)) {
      const text = readText(file);
      const addresses = [...text.matchAll(/new URL\('(\.[^']*)', import\.meta\.url\)/g)].map(
        ([, path]) => path ?? '',
      );
      for (const path of [...importsOf(text), ...addresses]) {
        const [top, ...rest] = posix.join(posix.dirname(file), path).split('/');
        if (path.startsWith('.') && top !== undefined && rest.length > 0 && top !== 'docs') found.add(top);
      }
    }
  }
  return found;
}

function sourcesIn(folder: string): string[] {
  return readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|js)$/.test(name) && !name.endsWith('.test.ts'))
    .map((name) => posix.join(folder, name));
}
