import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf, StartFailure } from '../start-failure.ts';

const run = promisify(execFile);

/** Who Postgres runs as. Empty: as ourselves. */
export type Account = { readonly uid: number; readonly gid: number } | Record<string, never>;

/**
 * Postgres refuses to run as root, so under root it runs as the `postgres` account, which is made if missing.
 *
 * @throws StartFailure postgres_account
 */
export async function postgresAccount(): Promise<Account> {
  if (process.getuid?.() !== 0) return {};
  const present = await accountIds();
  if (present !== undefined) return present;
  try {
    await run('groupadd', ['--system', 'postgres']).catch(ignoreExisting);
    await run('useradd', [
      '--system',
      '--gid',
      'postgres',
      '--home-dir',
      '/nonexistent',
      '--shell',
      '/bin/false',
      'postgres',
    ]);
  } catch (error) {
    throw new StartFailure(
      'postgres_account',
      `Postgres cannot run as root, and a "postgres" account could not be made: ${messageOf(error)}.`,
      'Run Baton as an ordinary user, add a user named "postgres", or set DATABASE_URL to a Postgres of your own.',
      error,
    );
  }
  const made = await accountIds();
  if (made !== undefined) return made;
  throw new StartFailure(
    'postgres_account',
    'The "postgres" account was made, and yet it cannot be found.',
    'Run Baton as an ordinary user, or set DATABASE_URL to a Postgres of your own.',
  );
}

/** The account as it is, without making one; undefined when there is none yet. */
export async function postgresAccountIfThere(): Promise<Account | undefined> {
  return process.getuid?.() === 0 ? accountIds() : {};
}

/** Whether the account can pass through every directory above a path (and the path itself, if it is there). */
export function canReach(account: Account, path: string): boolean {
  if (account.uid === undefined) return true;
  // Asking the system as that account takes access lists and mounts into account, which reading modes would not.
  return spawnSync('test', ['-x', path], { ...account, cwd: '/', stdio: 'ignore' }).status === 0;
}

async function accountIds(): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])]);
    return { uid: Number(uid.stdout.trim()), gid: Number(gid.stdout.trim()) };
  } catch {
    // `id` exits 1 for a name that is not there.
    return undefined;
  }
}

/** groupadd exits 9 when the group is there already, which is what we want. */
function ignoreExisting(error: unknown): void {
  if (error instanceof Error && 'code' in error && error.code === 9) return;
  throw error;
}
