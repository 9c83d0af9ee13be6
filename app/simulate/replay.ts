import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { JsonValue } from '../../client/index.ts';
import { UsageError } from '../usage-error.ts';

/** What somebody once answered. */
export interface Judgment {
  readonly value: JsonValue;
  /** How long it took them, in milliseconds, if that was recorded. */
  readonly thinkMs: number | undefined;
}

/** Recorded judgments, by who gave them and what about. */
export interface Recording {
  /** In the order in which they first appear. */
  readonly workers: readonly string[];
  /** How many judgments there are. A second one by the same worker about the same task is left out. */
  readonly size: number;
  /** Milliseconds from the first recorded moment to this worker's first, if moments were recorded. */
  arrivalMs(worker: string): number | undefined;
  /** @param task the external id of the task */
  judgment(worker: string, task: string): Judgment | undefined;
  judgmentsOf(worker: string): ReadonlyMap<string, Judgment>;
  /** Whether anybody judged it. */
  knows(task: string): boolean;
}

const JUDGMENTS_MAX = 5_000_000;
const MS_PER_S = 1_000;

const line = z.object({
  task: z.string(),
  worker: z.string(),
  value: z.json(),
  started_at: z.iso.datetime().optional(),
  submitted_at: z.iso.datetime().optional(),
  seconds: z.number().nonnegative().optional(),
});
type Line = z.output<typeof line>;

/**
 * Reads judgments, one JSON object a line: `{task, worker, value, started_at?, submitted_at?, seconds?}`.
 *
 * @throws UsageError when the file cannot be read, or with the number of the line that is not a judgment.
 */
export async function readRecording(file: string): Promise<Recording> {
  const stream = createReadStream(file, 'utf8');
  const recorder = new Recorder();
  let number = 0;
  try {
    for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      number += 1;
      if (text.trim() === '') continue;
      if (number > JUDGMENTS_MAX) throw new UsageError(`${file} has more than ${JUDGMENTS_MAX} lines`);
      recorder.add(parse(text, `${file}, line ${number}`));
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return recorder;
}

/** The same from text in memory. @throws UsageError */
export function recordingOf(text: string): Recording {
  const recorder = new Recorder();
  for (const [index, entry] of text.split('\n').entries()) {
    if (entry.trim() !== '') recorder.add(parse(entry, `line ${index + 1}`));
  }
  return recorder;
}

function parse(text: string, where: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${where} is not JSON`);
  }
  const parsed = line.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(`${where} is no judgment: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`);
}

class Recorder implements Recording {
  readonly #byWorker = new Map<string, Map<string, Judgment>>();
  readonly #tasks = new Set<string>();
  readonly #firstMs = new Map<string, number>();
  #size = 0;
  #beginMs = Number.POSITIVE_INFINITY;

  add(entry: Line): void {
    let judgments = this.#byWorker.get(entry.worker);
    if (judgments === undefined) {
      judgments = new Map();
      this.#byWorker.set(entry.worker, judgments);
    }
    this.#seen(entry);
    if (judgments.has(entry.task)) return;
    judgments.set(entry.task, { value: entry.value, thinkMs: thinkMsOf(entry) });
    this.#tasks.add(entry.task);
    this.#size += 1;
  }

  get workers(): readonly string[] {
    return [...this.#byWorker.keys()];
  }

  get size(): number {
    return this.#size;
  }

  arrivalMs(worker: string): number | undefined {
    const firstMs = this.#firstMs.get(worker);
    return firstMs === undefined ? undefined : firstMs - this.#beginMs;
  }

  judgment(worker: string, task: string): Judgment | undefined {
    return this.#byWorker.get(worker)?.get(task);
  }

  judgmentsOf(worker: string): ReadonlyMap<string, Judgment> {
    return this.#byWorker.get(worker) ?? new Map();
  }

  knows(task: string): boolean {
    return this.#tasks.has(task);
  }

  #seen({ worker, started_at, submitted_at }: Line): void {
    const at = started_at ?? submitted_at;
    if (at === undefined) return;
    const ms = Date.parse(at);
    this.#beginMs = Math.min(this.#beginMs, ms);
    this.#firstMs.set(worker, Math.min(this.#firstMs.get(worker) ?? ms, ms));
  }
}

function thinkMsOf({ seconds, started_at, submitted_at }: Line): number | undefined {
  if (seconds !== undefined) return seconds * MS_PER_S;
  if (started_at === undefined || submitted_at === undefined) return undefined;
  return Math.max(0, Date.parse(submitted_at) - Date.parse(started_at));
}
