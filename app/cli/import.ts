import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { type Command, Option } from 'commander';
import type { z } from 'zod';
import { importAnswer } from '../../protocol/api/tasks.ts';
import { connectRemote, type RemoteOptions, withRemoteOptions } from '../remote/connect.ts';
import { startProgress } from '../remote/progress.ts';
import { messageOf } from '../start-failure.ts';
import { UsageError } from '../usage-error.ts';

const CONTENT_TYPES = { ndjson: 'application/x-ndjson', csv: 'text/csv', json: 'application/json' } as const;
type Format = keyof typeof CONTENT_TYPES;
const FORMAT_BY_EXTENSION: Readonly<Record<string, Format>> = {
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
  '.csv': 'csv',
  '.json': 'json',
};
const REJECTED_SHOWN_MAX = 20;

interface ImportOptions extends RemoteOptions {
  readonly project: string;
  readonly format?: Format | 'jsonl';
  readonly json?: boolean;
}

export function register(program: Command): void {
  withRemoteOptions(program.command('import'))
    .description(
      'Give tasks to a project of a running server. A task with an externalId is created once, however often it is sent.',
    )
    .argument('<file>', 'NDJSON, CSV or JSON array; - for standard input')
    .requiredOption('--project <slug>', 'the project')
    .addOption(
      new Option('--format <format>', 'how to read it (default: by the name of the file)').choices([
        ...Object.keys(CONTENT_TYPES),
        'jsonl',
      ]),
    )
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ baton import tasks.jsonl --project reviews
  $ baton import tasks.csv --project reviews --url https://baton.example.org --token "$TOKEN"
  $ zcat tasks.jsonl.gz | baton import - --format ndjson --project reviews

A line is a task {"data": ..., "externalId"?, "priority"?, "overlap"?, "requirements"?}, or any other object, which then
is the data itself. Lines that are not tasks are rejected and named; the others are created. Exits with 1 if any was rejected.`,
    )
    .action(run);
}

async function run(file: string, options: ImportOptions): Promise<void> {
  const format = formatOf(file, options.format);
  const source = await openSource(file);
  const api = connectRemote(options);
  const progress = startProgress({ label: 'import', total: source.bytes, unit: 'bytes' });
  try {
    const path = `/api/projects/${encodeURIComponent(options.project)}/tasks`;
    const body = counted(source.stream, (bytes) => progress.update(bytes));
    const answer = await api.upload(path, CONTENT_TYPES[format], body, importAnswer);
    progress.stop();
    print(answer, options.json === true);
    if (answer.rejectedCount > 0) process.exitCode = 1;
  } finally {
    progress.stop();
    source.stream.destroy();
  }
}

function formatOf(file: string, given: Format | 'jsonl' | undefined): Format {
  if (given !== undefined) return given === 'jsonl' ? 'ndjson' : given;
  const known = FORMAT_BY_EXTENSION[extname(file).toLowerCase()];
  if (known !== undefined) return known;
  throw new UsageError(`the format of ${file} is not clear from its name: give --format`);
}

async function openSource(file: string): Promise<{ stream: Readable; bytes: number }> {
  if (file === '-') return { stream: process.stdin, bytes: 0 };
  try {
    const { size } = await stat(file);
    return { stream: createReadStream(file), bytes: size };
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function counted(stream: Readable, seen: (bytes: number) => void): Readable {
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      seen(bytes);
      done(null, chunk);
    },
  });
  stream.once('error', (error) => counter.destroy(error));
  return stream.pipe(counter);
}

function print(answer: z.output<typeof importAnswer>, asJson: boolean): void {
  if (asJson) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  process.stdout.write(
    `created ${answer.created}, duplicates ${answer.duplicates}, rejected ${answer.rejectedCount}\n`,
  );
  for (const { line, code, message } of answer.rejected.slice(0, REJECTED_SHOWN_MAX)) {
    process.stderr.write(`  line ${line}: ${message} (${code})\n`);
  }
  const hidden = answer.rejectedCount - REJECTED_SHOWN_MAX;
  if (hidden > 0) process.stderr.write(`  ... and ${hidden} more\n`);
}
