import type { Command } from 'commander';
import { z } from 'zod';
import { type RemoteApi, RemoteFailure } from '../remote/api.ts';
import { connectRemote, type RemoteOptions, withRemoteOptions } from '../remote/connect.ts';

const annotator = z.object({ id: z.number(), externalId: z.string() });
const annotators = z.object({ items: z.array(annotator) });
const created = z.object({ token: z.string() });

interface CreateOptions extends RemoteOptions {
  readonly name?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const token = program.command('token').description('Tokens for annotators of a running server.');
  withRemoteOptions(token.command('create'))
    .description(
      'Make a token for an annotator, who is created if there is none by that id. It is shown this once.',
    )
    .argument('<externalId>', 'your own id of the annotator')
    .option('--name <name>', 'the name of a new annotator (default: the id)')
    .option('--json', 'print {annotatorId, externalId, token} as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ baton token create ann --name "Ann"
  $ TOKEN=$(baton token create ann)`,
    )
    .action(create);
}

async function create(externalId: string, options: CreateOptions): Promise<void> {
  const api = connectRemote(options);
  const { id } = await findOrCreate(api, externalId, options.name);
  const { token } = await api.call('POST', `/api/annotators/${id}/tokens`, created, {});
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ annotatorId: id, externalId, token })}\n` : `${token}\n`,
  );
}

async function findOrCreate(
  api: RemoteApi,
  externalId: string,
  name: string | undefined,
): Promise<z.output<typeof annotator>> {
  try {
    return await api.call('POST', '/api/annotators', annotator, {
      externalId,
      ...(name !== undefined && { name }),
    });
  } catch (error) {
    if (!(error instanceof RemoteFailure && error.status === 409)) throw error;
  }
  const { items } = await api.call(
    'GET',
    `/api/annotators?${new URLSearchParams({ externalId })}`,
    annotators,
  );
  const found = items.find((item) => item.externalId === externalId);
  if (found === undefined) throw new RemoteFailure('not_found', `There is no annotator ${externalId}.`);
  return found;
}
