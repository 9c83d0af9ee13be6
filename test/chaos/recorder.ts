import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import type { Traffic } from '../../client/index.ts';
import { type Histories, type HistoryLine, historiesOf, monotonicMs, type Operation } from './history.ts';

const CLOCK_EVERY_MS = 1_000;
const FILES = ['clients', 'faults'] as const;
/** What failed without an answer: it may have been carried out all the same. */
const UNKNOWN: ReadonlySet<string> = new Set(['timed_out', 'disconnected', 'closed', 'aborted']);

const sentFields = z.object({
  assignmentId: z.string().optional(),
  requestId: z.string().optional(),
  submissionId: z.string().optional(),
  result: z.unknown().optional(),
  draft: z.unknown().optional(),
});
const heldLease = z.object({
  id: z.string(),
  project: z.string(),
  taskId: z.string(),
  expiresInMs: z.number(),
  draft: z.unknown().optional(),
});
const answerFields = z.object({
  assignment: heldLease.optional(),
  assignments: z.array(heldLease).optional(),
  next: z.object({ assignment: heldLease.optional() }).optional(),
  alive: z.array(z.object({ assignmentId: z.string(), expiresInMs: z.number() })).optional(),
  ended: z.unknown().optional(),
  receipt: z
    .object({ assignmentId: z.string(), submissionId: z.string(), status: z.string(), late: z.boolean() })
    .optional(),
  assignmentId: z.string().optional(),
  reason: z.string().optional(),
});

/** Writes the histories of a campaign: to disk for the checker, and kept for the report. */
export class Recorder {
  readonly lines: HistoryLine[] = [];
  private readonly streams: Readonly<Record<(typeof FILES)[number], WriteStream>>;
  private readonly clock: NodeJS.Timeout;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    const open = (name: string) => createWriteStream(join(directory, `${name}.ndjson`));
    this.streams = { clients: open('clients'), faults: open('faults') };
    this.clock = setInterval(() => this.sampleClock(), CLOCK_EVERY_MS);
    this.sampleClock();
  }

  write(line: HistoryLine): void {
    this.lines.push(line);
    const isOfClients = line.t === 'op' || line.t === 'push' || line.t === 'connection' || line.t === 'whim';
    this.streams[isOfClients ? 'clients' : 'faults'].write(`${JSON.stringify(line)}\n`);
  }

  /** Settles when everything is on disk. */
  async close(): Promise<Histories> {
    clearInterval(this.clock);
    this.sampleClock();
    for (const stream of Object.values(this.streams)) {
      stream.end();
      await finished(stream);
    }
    return historiesOf(this.lines);
  }

  /** What one connection of an annotator says and hears. */
  tap(annotator: number, tab: string): (traffic: Traffic) => void {
    const open = new Map<number, Pick<Operation, 'event' | 'startMs'> & { message: unknown }>();
    return (traffic) => {
      switch (traffic.kind) {
        case 'sent':
          open.set(traffic.attempt, {
            event: traffic.event,
            startMs: monotonicMs(),
            message: traffic.message,
          });
          return;
        case 'pushed':
          this.write({
            t: 'push',
            annotator,
            tab,
            event: traffic.event,
            atMs: monotonicMs(),
            ...heard(traffic.body),
          });
          return;
        default: {
          const sent = open.get(traffic.attempt);
          if (!sent) return;
          open.delete(traffic.attempt);
          const { event, startMs, message } = sent;
          const call = { t: 'op' as const, annotator, tab, event, startMs, endMs: monotonicMs() };
          this.write({ ...call, ...said(message), ...resultOf(traffic) });
        }
      }
    };
  }

  private sampleClock(): void {
    this.write({ t: 'clock', atMs: monotonicMs(), wallMs: Date.now() });
  }
}

function said(message: unknown): Partial<Operation> {
  const { result, draft, ...ids } = sentFields.parse(message);
  const payload = result ?? draft;
  return { ...ids, ...(payload === undefined ? {} : { payload }) };
}

function resultOf(traffic: Extract<Traffic, { kind: 'answered' | 'failed' }>): {
  outcome: Operation['outcome'];
} & Partial<Operation> {
  if (traffic.kind === 'answered') {
    const { alive, receipt, ended } = answerFields.parse(traffic.answer);
    return {
      outcome: 'ok',
      ...heard(traffic.answer),
      ...(alive && { alive }),
      ...(receipt && { receipt }),
      ...(Array.isArray(ended) && { ended: ended.map(String) }),
    };
  }
  const { code } = traffic.error;
  return { outcome: UNKNOWN.has(code) ? 'unknown' : 'refused', code };
}

/** The leases that a message from the server names, without the tasks' data. */
function heard(body: unknown): Partial<Pick<Operation, 'leases' | 'assignmentId'>> & { reason?: string } {
  const read = answerFields.safeParse(body);
  if (!read.success) return {};
  const { assignment, assignments = [], next, assignmentId, reason } = read.data;
  const leases = [assignment, next?.assignment, ...assignments].filter((one) => one !== undefined);
  return {
    ...(leases.length > 0 && { leases }),
    ...(assignmentId !== undefined && { assignmentId }),
    ...(reason !== undefined && { reason }),
  };
}
