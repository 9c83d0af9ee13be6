import { type Command, Option } from 'commander';
import { readSecret } from '../data-directory.ts';
import { defaultDataDirectory } from '../default-data-directory.ts';
import { ADMIN_TOKEN_FILE } from '../secrets.ts';
import { UsageError } from '../usage-error.ts';
import { type RemoteApi, remoteApi } from './api.ts';

export interface RemoteOptions {
  readonly url: string;
  readonly token?: string;
}

const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '[::1]'];

/** Adds the options of every command that talks to a running server. */
export function withRemoteOptions(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', 'the server').env('BATON_URL').default('http://127.0.0.1:3000'))
    .addOption(
      new Option(
        '--token <token>',
        "an admin's token (default: that of the server in BATON_DATA_DIR on this machine)",
      ).env('BATON_TOKEN'),
    );
}

/** @throws UsageError when there is no token to be had. */
export function connectRemote(options: RemoteOptions): RemoteApi {
  if (!URL.canParse(options.url)) throw new UsageError(`--url ${options.url} is not a URL`);
  const token = options.token ?? localAdminToken(options.url);
  if (token === undefined) throw new UsageError('a token is needed: give --token or set BATON_TOKEN');
  return remoteApi({ url: options.url, token });
}

/** Only a server on this machine is given the token that lies on this machine. */
function localAdminToken(url: string): string | undefined {
  if (!LOOPBACK_HOSTS.includes(new URL(url).hostname)) return undefined;
  if (process.env.BATON_ADMIN_TOKEN) return process.env.BATON_ADMIN_TOKEN;
  const directory =
    process.env.BATON_DATA_DIR || defaultDataDirectory(process.cwd(), process.getuid?.() === 0);
  return readSecret(directory, ADMIN_TOKEN_FILE);
}
