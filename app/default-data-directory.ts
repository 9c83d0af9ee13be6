import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const OTHERS_MAY_PASS = 0o001;

/**
 * Where the data goes when nobody says where: `./.baton`. Under root, Postgres runs as an account of its own; from a
 * folder that only root may enter (a clone in /root), the default is a folder of /var/lib/baton, named after this one.
 */
export function defaultDataDirectory(folder: string, isRoot: boolean, mayPass = othersMayPass): string {
  if (!isRoot || mayPass(folder)) return join(folder, '.baton');
  const mark = createHash('sha256').update(folder).digest('hex').slice(0, 8);
  return join('/var/lib/baton', `${basename(folder)}-${mark}`);
}

function othersMayPass(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & OTHERS_MAY_PASS) === 0) return false;
    if (at === dirname(at)) return true;
  }
}
