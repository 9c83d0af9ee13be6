import type { RemoteApi } from '../remote/api.ts';
import { UsageError } from '../usage-error.ts';
import { type Answers, inventedAnswers, recordedAnswers } from './answers.ts';
import { readExternalIds } from './crew.ts';
import { sampleGap } from './distributions.ts';
import { randomStream } from './random.ts';
import type { Judgment, Recording } from './replay.ts';

const MS_PER_HOUR = 3_600_000;
const ANNOTATORS_DEFAULT = 20;

export interface Answerer {
  readonly externalId: string;
  readonly arrivesAfterMs: number;
  readonly answers: Answers;
}

export interface AnswererArgs {
  readonly api: RemoteApi;
  readonly slug: string;
  /** The project's result schema. */
  readonly schema: unknown;
  readonly annotators: number | undefined;
  readonly arrivalsPerHour: number | undefined;
  readonly seed: number;
  readonly recording: Recording | undefined;
  readonly strict: boolean;
}

/**
 * The people of a simulation, each with what they have to say.
 *
 * @throws UsageError when the recording is about other tasks, RemoteFailure
 */
export async function chooseAnswerers(args: AnswererArgs): Promise<Answerer[]> {
  const { recording, api, seed, slug, schema } = args;
  const invented = (index: number): Answers => inventedAnswers(schema, randomStream(seed, 2 * index + 2));
  if (recording === undefined) {
    const names = Array.from(
      { length: args.annotators ?? ANNOTATORS_DEFAULT },
      (_, index) => `sim-${String(index + 1).padStart(3, '0')}`,
    );
    const arrivals = arrivalsOf(args, names.length);
    return names.map((externalId, index) => ({
      externalId,
      arrivesAfterMs: arrivals[index] ?? 0,
      answers: invented(index),
    }));
  }
  const externalIds = await readExternalIds(api, slug, (externalId) => recording.knows(externalId));
  if (externalIds.size === 0)
    throw new UsageError(
      `none of the judgments is about a task of ${slug}: its externalId must be their "task"`,
    );
  const workers = recording.workers.slice(0, args.annotators);
  const arrivals = arrivalsOf(args, workers.length);
  return workers.map((worker, index) => ({
    externalId: worker,
    arrivesAfterMs:
      (args.arrivalsPerHour === undefined ? recording.arrivalMs(worker) : undefined) ?? arrivals[index] ?? 0,
    answers: recordedAnswers({
      judgments: judgmentsByTask(recording, worker, externalIds),
      schema,
      otherwise: args.strict ? undefined : invented(index),
    }),
  }));
}

function judgmentsByTask(
  recording: Recording,
  worker: string,
  externalIds: ReadonlyMap<string, string>,
): Map<string, Judgment> {
  const judgments = new Map<string, Judgment>();
  for (const [taskId, externalId] of externalIds) {
    const judgment = recording.judgment(worker, externalId);
    if (judgment !== undefined) judgments.set(taskId, judgment);
  }
  return judgments;
}

/** When each of the people comes for the first time, in human milliseconds: a Poisson process. */
function arrivalsOf(args: AnswererArgs, count: number): number[] {
  const perHour = args.arrivalsPerHour ?? count * 6;
  const random = randomStream(args.seed, 0);
  let atMs = 0;
  return Array.from({ length: count }, () => {
    const arrivesAfterMs = atMs;
    atMs += sampleGap(MS_PER_HOUR / perHour, random);
    return arrivesAfterMs;
  });
}
