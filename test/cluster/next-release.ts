import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['app', 'client', 'engine', 'gateway', 'machines', 'migrations', 'protocol', 'samples'];
const MIGRATION = '20991231000000_next_release.ts';

export interface NextRelease {
  /** What starts its server. */
  readonly launcher: string;
  readonly version: string;
  remove(): void;
}

/**
 * A release that comes after this one, as a directory of its own: another version, one more migration that only adds, and
 * nodes that say more to each other than this release understands.
 */
export function makeNextRelease(): NextRelease {
  const directory = mkdtempSync(join(tmpdir(), 'baton-test-next-'));
  for (const folder of FOLDERS) cpSync(join(ROOT, folder), join(directory, folder), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const version = '99.0.0';
  change('package.json', /"version": "[^"]+"/, `"version": "${version}"`, join(ROOT, 'package.json'));
  writeFileSync(
    join(directory, 'migrations', MIGRATION),
    `export async function up(knex) {
       await knex.raw("alter table tasks add column of_the_future text default 'later'");
       await knex.raw('create table futures (id int primary key)');
     }
     export async function down() {}
    `,
  );
  change('app/migrations.ts', /\n};\n/, `\n  '${MIGRATION}': future,\n};\n`);
  change('app/migrations.ts', /^/, `import * as future from '../migrations/${MIGRATION}';\n`);
  // News of a kind that this release has not heard of, and one more field in everything that it has.
  const peers = 'engine/cluster/peers.ts';
  const { news, call, push } = {
    news: /this\.args\.bus\.broadcast\(\{ t: 'changed' \}\)/,
    call: /\{ t: 'call', id, method: name, args \}/,
    push: /\{ t: 'push', seq, to, push \}/,
  };
  change(peers, news, `this.args.bus.broadcast({ t: 'gossip' }), $&`);
  change(peers, call, `{ t: 'call', id, method: name, args, hop: 1 }`);
  change(peers, push, `{ t: 'push', seq, to, push, urgency: 3 }`);
  return {
    launcher: join(directory, 'app', 'bin.js'),
    version,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };

  /** @throws when there is nothing to change: the next release would be this one. */
  function change(file: string, pattern: RegExp, to: string, from = join(directory, file)): void {
    const text = readFileSync(from, 'utf8');
    if (!pattern.test(text)) throw new Error(`${file} has no ${pattern}`);
    writeFileSync(join(directory, file), text.replace(pattern, to));
  }
}
