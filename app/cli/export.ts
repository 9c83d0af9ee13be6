import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import type { RemoteApi } from '../remote/api.ts';
import { RemoteFailure } from '../remote/api.ts';
import { connectRemote, type RemoteOptions, withRemoteOptions } from '../remote/connect.ts';
import { startProgress } from '../remote/progress.ts';
import { messageOf } from '../start-failure.ts';

interface ExportOptions extends RemoteOptions {
  readonly project: string;
  readonly format: 'jsonl' | 'json' | 'csv';
  readonly out?: string;
  readonly counted?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  withRemoteOptions(program.command('export'))
    .description('Write the annotations of a project to a file, or to standard output.')
    .requiredOption('--project <slug>', 'the project')
    .addOption(
      new Option('--format <format>', 'how to write it').choices(['jsonl', 'json', 'csv']).default('jsonl'),
    )
    .option('--out <file>', 'the file; it appears when it is complete (default: standard output)')
    .option('--counted', 'only answers that count, without surplus ones')
    .option('--json', 'print {file, bytes} as JSON when it is done (with --out)')
    .addHelpText(
      'after',
      `
Examples:
  $ baton export --project reviews --out answers.jsonl
  $ baton export --project reviews --format csv --counted --out answers.csv
  $ baton export --project reviews | jq .result`,
    )
    .action(run);
}

async function run(options: ExportOptions): Promise<void> {
  const api = connectRemote(options);
  if (options.out === undefined) {
    await stream(api, options, process.stdout, false);
    return;
  }
  const unfinished = `${options.out}.part`;
  try {
    const bytes = await stream(api, options, createWriteStream(unfinished), true);
    await rename(unfinished, options.out);
    process.stdout.write(
      options.json === true
        ? `${JSON.stringify({ file: options.out, bytes })}\n`
        : `${options.out}: ${bytes} bytes\n`,
    );
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function stream(api: RemoteApi, options: ExportOptions, to: Writable, shown: boolean): Promise<number> {
  const query = new URLSearchParams({
    format: options.format,
    ...(options.counted === true && { counted: 'true' }),
  });
  const source = await api.download(
    `/api/projects/${encodeURIComponent(options.project)}/annotations?${query}`,
  );
  const progress = startProgress({ label: 'export', total: 0, unit: 'bytes', quiet: !shown });
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      progress.update(bytes);
      done(null, chunk);
    },
  });
  try {
    // Standard output stays open: it is not ours to close.
    await pipeline(source, counter, to, { end: to !== process.stdout });
    return bytes;
  } catch (error) {
    throw new RemoteFailure('failed', `The export broke off after ${bytes} bytes: ${messageOf(error)}.`);
  } finally {
    progress.stop();
  }
}
