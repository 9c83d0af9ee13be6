import type { Command } from 'commander';
import { z } from 'zod';
import { connectRemote, type RemoteOptions, withRemoteOptions } from '../remote/connect.ts';

const annotator = z.object({ id: z.number() });
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
  // Repeating an external id answers the annotator who has it.
  const name = options.name === undefined ? {} : { name: options.name };
  const { id } = await api.call('POST', '/api/annotators', annotator, { externalId, ...name });
  const { token } = await api.call('POST', `/api/annotators/${id}/tokens`, created, {});
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ annotatorId: id, externalId, token })}\n` : `${token}\n`,
  );
}
