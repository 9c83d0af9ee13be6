import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * What a campaign writes down, one line of JSON each. All times are milliseconds of the machine's monotonic clock, which is
 * the same for all its processes; `clock` lines say what the wall clock showed then, for what the database has written.
 */
const lease = z.object({
  id: z.string(),
  project: z.string(),
  taskId: z.string(),
  expiresInMs: z.number(),
  draft: z.unknown().optional(),
});

/** One attempt of one message. `unknown`: no answer came, so nobody knows whether it was carried out. */
const operation = z.object({
  t: z.literal('op'),
  annotator: z.number(),
  tab: z.string(),
  event: z.string(),
  startMs: z.number(),
  endMs: z.number(),
  outcome: z.enum(['ok', 'refused', 'unknown']),
  code: z.string().optional(),
  assignmentId: z.string().optional(),
  requestId: z.string().optional(),
  submissionId: z.string().optional(),
  /** The result or draft that was sent. */
  payload: z.unknown().optional(),
  /** Leases that the answer names as held, each until so long after the server answered. */
  leases: z.array(lease).optional(),
  alive: z.array(z.object({ assignmentId: z.string(), expiresInMs: z.number() })).optional(),
  ended: z.array(z.string()).optional(),
  receipt: z
    .object({ assignmentId: z.string(), submissionId: z.string(), status: z.string(), late: z.boolean() })
    .optional(),
});

const push = z.object({
  t: z.literal('push'),
  annotator: z.number(),
  tab: z.string(),
  event: z.string(),
  atMs: z.number(),
  leases: z.array(lease).optional(),
  assignmentId: z.string().optional(),
  reason: z.string().optional(),
});

const connection = z.object({
  t: z.literal('connection'),
  annotator: z.number(),
  tab: z.string(),
  atMs: z.number(),
  status: z.string(),
  code: z.string().optional(),
});

/** Something that a person does which a good client would not. */
const whim = z.object({ t: z.literal('whim'), annotator: z.number(), kind: z.string(), atMs: z.number() });

const imported = z.object({
  t: z.literal('import'),
  project: z.string(),
  externalIds: z.array(z.string()),
  startMs: z.number(),
  endMs: z.number(),
  outcome: z.enum(['ok', 'refused', 'unknown']),
  code: z.string().optional(),
});

const fault = z.object({
  t: z.literal('fault'),
  kind: z.string(),
  victim: z.string(),
  startMs: z.number(),
  endMs: z.number(),
  detail: z.string().optional(),
});

/** A life of a node: `ended` without having been asked to is a violation. */
const nodeLife = z.object({
  t: z.literal('node'),
  name: z.string(),
  what: z.enum(['up', 'start_failed', 'killed', 'drained', 'ended_by_itself', 'did_not_stop']),
  atMs: z.number(),
  detail: z.string().optional(),
});

const clock = z.object({ t: z.literal('clock'), atMs: z.number(), wallMs: z.number() });
const phase = z.object({ t: z.literal('phase'), name: z.enum(['faults', 'drain', 'end']), atMs: z.number() });

const LINE = z.discriminatedUnion('t', [
  operation,
  push,
  connection,
  whim,
  imported,
  fault,
  nodeLife,
  clock,
  phase,
]);

export type HistoryLine = z.output<typeof LINE>;
export type HistoryLease = z.output<typeof lease>;
export type Operation = z.output<typeof operation>;
export type Push = z.output<typeof push>;
export type Connection = z.output<typeof connection>;
export type Whim = z.output<typeof whim>;
export type Imported = z.output<typeof imported>;
export type FaultLine = z.output<typeof fault>;
export type NodeLife = z.output<typeof nodeLife>;
export type ClockSample = z.output<typeof clock>;
export type Phase = z.output<typeof phase>;

export interface Histories {
  readonly operations: readonly Operation[];
  readonly pushes: readonly Push[];
  readonly connections: readonly Connection[];
  readonly whims: readonly Whim[];
  readonly imports: readonly Imported[];
  readonly faults: readonly FaultLine[];
  readonly nodes: readonly NodeLife[];
  readonly clock: readonly ClockSample[];
  readonly phases: readonly Phase[];
}

/** Milliseconds of the machine's monotonic clock, to the microsecond. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** Sorts lines into kinds, each in the order of time. */
export function historiesOf(lines: readonly HistoryLine[]): Histories {
  const of = <T extends HistoryLine['t']>(t: T) =>
    lines.filter((line): line is Extract<HistoryLine, { t: T }> => line.t === t);
  return {
    operations: of('op').sort((a, b) => a.startMs - b.startMs),
    pushes: of('push'),
    connections: of('connection'),
    whims: of('whim'),
    imports: of('import'),
    faults: of('fault').sort((a, b) => a.startMs - b.startMs),
    nodes: of('node'),
    clock: of('clock'),
    phases: of('phase'),
  };
}

/** Reads every history of a directory. @throws for a line that is none. */
export function readHistories(directory: string): Histories {
  const files = readdirSync(directory).filter((name) => name.endsWith('.ndjson'));
  if (files.length === 0) throw new Error(`there are no histories (*.ndjson) in ${directory}`);
  const lines = files.flatMap((name) =>
    readFileSync(join(directory, name), 'utf8')
      .split('\n')
      .filter((text) => text !== '')
      .map((text, i) => {
        const line = LINE.safeParse(JSON.parse(text));
        if (!line.success) throw new Error(`${name}:${i + 1} is no line of a history`);
        return line.data;
      }),
  );
  return historiesOf(lines);
}
