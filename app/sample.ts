import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Admin } from '../engine/admin/index.ts';
import type { AnnotatorId } from '../engine/ids.ts';
import type { Result } from '../engine/refusals.ts';
import { readNdjson } from '../gateway/http/import/ndjson.ts';
import { mergeSettings, projectCreate, SETTINGS_DEFAULTS } from '../protocol/api/index.ts';
import { readSecret, removeSecret, writeSecret } from './data-directory.ts';
import { SAMPLE_TOKEN_FILE } from './secrets.ts';
import { messageOf, StartFailure } from './start-failure.ts';

const SAMPLE = fileURLToPath(new URL('../samples/pandalm', import.meta.url));
const ANNOTATOR = 'sample-annotator';
const ACTOR = 'system';
/** There while the sample is being made: a start that finds it goes on where a killed one stopped. */
const UNFINISHED = 'sample-unfinished';

/** What a newcomer can try at once. */
export interface Sample {
  readonly annotatorToken: string;
}

/**
 * Gives an empty database the sample project, by the same calls that the HTTP API makes, and an annotator who can work
 * on it. Every step can be repeated, so a start that was cut off loses nothing.
 *
 * @returns undefined when the database is not empty and the sample was not made here.
 * @throws StartFailure sample_failed
 */
export async function ensureSample(args: {
  admin: Admin;
  dataDirectory: string;
  wanted: boolean;
}): Promise<Sample | undefined> {
  const { admin, dataDirectory } = args;
  const isUnfinished = readSecret(dataDirectory, UNFINISHED) !== undefined;
  const isDue =
    args.wanted && (isUnfinished || (await admin.projects.list({ after: 0, limit: 1 })).length === 0);
  if (!isDue) return keptToken(admin, dataDirectory);
  try {
    writeSecret(dataDirectory, UNFINISHED, 'The sample project is being made.');
    await createProject(admin);
    const annotatorToken = await createAnnotator(admin);
    writeSecret(dataDirectory, SAMPLE_TOKEN_FILE, annotatorToken);
    removeSecret(dataDirectory, UNFINISHED);
    return { annotatorToken };
  } catch (error) {
    throw new StartFailure(
      'sample_failed',
      `The sample project could not be made: ${messageOf(error)}`,
      'Start with BATON_SAMPLE=0 to do without it.',
      error,
    );
  }
}

/** The token of an earlier start, if it is still valid here: the data directory may serve another database by now. */
async function keptToken(admin: Admin, dataDirectory: string): Promise<Sample | undefined> {
  const token = readSecret(dataDirectory, SAMPLE_TOKEN_FILE);
  if (token === undefined || (await admin.tokens.find(token)) === undefined) return undefined;
  return { annotatorToken: token };
}

async function createProject(admin: Admin): Promise<void> {
  const file: unknown = JSON.parse(readFileSync(join(SAMPLE, 'project.json'), 'utf8'));
  const { slug, name, settings } = projectCreate.parse(file);
  const merged = mergeSettings(SETTINGS_DEFAULTS, settings ?? {});
  if (!merged.ok) throw new Error(merged.errors.map((error) => `${error.path}: ${error.message}`).join('; '));
  const present = await admin.projects.read(slug);
  if (!present.ok)
    granted(
      await admin.projects.create({ slug, name: name ?? slug, settings: merged.settings, actor: ACTOR }),
    );
  const rows = readNdjson(createReadStream(join(SAMPLE, 'tasks.jsonl')));
  const { stopped, rejected } = granted(await admin.imports.run({ slug, rows, actor: ACTOR }));
  if (stopped !== undefined) throw new Error(`its tasks could not all be read (${stopped.why}).`);
  const [wrong] = rejected;
  if (wrong !== undefined) throw new Error(`line ${wrong.line} of its tasks is wrong: ${wrong.message}`);
}

async function createAnnotator(admin: Admin): Promise<string> {
  const { annotator } = granted(
    await admin.annotators.create({
      externalId: ANNOTATOR,
      name: 'Sample annotator',
      capacity: 1,
      skills: {},
      actor: ACTOR,
    }),
  );
  const annotatorId: AnnotatorId = annotator.id;
  return granted(await admin.tokens.createForAnnotator({ annotatorId, name: 'sample', actor: ACTOR })).token;
}

function granted<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(result.message);
}
