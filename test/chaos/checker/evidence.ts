import { ASSIGNMENT_STATE_CODES as ASSIGNMENT } from '../../../engine/store/codes.ts';
import type { ClockSample, Histories } from '../history.ts';
import type { ChaosRows, TimedTransition } from './rows.ts';

export const KINDS = [
  'lost',
  'differs',
  'unexpected',
  'double_work',
  'over_capacity',
  'over_overlap',
  'early_expiry',
  'lost_draft',
  'stale_holder',
  'stranded',
  'history',
  'stale_epoch',
  'unexpected_answer',
  'node_failed',
] as const;

export interface Violation {
  readonly kind: (typeof KINDS)[number];
  readonly what: string;
}

/**
 * How far times of the clients and of the database may be apart before it means something, in ms: they are taken from two
 * clocks of one machine, of which one is looked at once a second.
 */
export const SKEW_MS = 250;

/** One lease's life by its transitions: when it was granted and how it went on, on the clock of the histories. */
export interface Life {
  readonly assignmentId: number;
  readonly annotatorId: number;
  readonly taskId: number;
  readonly steps: readonly TimedTransition[];
  readonly granted: TimedTransition;
  /** The step that ended it; absent while it is open. */
  readonly end: TimedTransition | undefined;
}

/** Histories and rows, with what several checks need to find in them. */
export class Evidence {
  readonly histories: Histories;
  readonly rows: ChaosRows;
  readonly lives: ReadonlyMap<number, Life>;
  private readonly clock: readonly ClockSample[];

  constructor(histories: Histories, rows: ChaosRows) {
    this.histories = histories;
    this.rows = rows;
    this.clock = [...histories.clock].sort((a, b) => a.wallMs - b.wallMs);
    this.lives = livesOf(rows);
  }

  /** A time of the database on the clock of the histories. */
  monotonic(wallMs: number): number {
    let nearest = this.clock[0];
    let low = 0;
    let high = this.clock.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const sample = this.clock[middle];
      if (!sample) break;
      if (sample.wallMs <= wallMs) {
        nearest = sample;
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return nearest === undefined ? wallMs : wallMs - nearest.wallMs + nearest.atMs;
  }

  /** When a step could first be seen by others; its transaction's beginning where nothing better is known. */
  seenMs(step: TimedTransition): number {
    return this.monotonic(step.committed_ms ?? step.at_ms);
  }
}

/** The number in an assignment's id on the wire, which is `project-number`. */
export function assignmentNumber(id: string): number {
  return Number(id.split('-')[1]);
}

export function isOpen(state: number | null): boolean {
  return state === ASSIGNMENT.offered || state === ASSIGNMENT.active;
}

export function groupBy<Row, Key>(rows: Iterable<Row>, keyOf: (row: Row) => Key): Map<Key, Row[]> {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) group.push(row);
    else groups.set(keyOf(row), [row]);
  }
  return groups;
}

/** In the order in which they were committed: a task may have its history in several shards. */
export function inOrder(steps: readonly TimedTransition[]): TimedTransition[] {
  const doneMs = (step: TimedTransition) => step.committed_ms ?? step.at_ms;
  return [...steps].sort((a, b) => doneMs(a) - doneMs(b) || a.shard_id - b.shard_id || a.seq - b.seq);
}

function livesOf(rows: ChaosRows): Map<number, Life> {
  const lives = new Map<number, Life>();
  const ofLeases = inOrder(rows.transitions).filter((step) => step.assignment_id !== null);
  for (const [assignmentId, steps] of groupBy(ofLeases, (step) => step.assignment_id)) {
    const [granted] = steps;
    if (assignmentId === null || !granted) continue;
    const { annotator_id: annotatorId, task_id: taskId } = granted;
    if (annotatorId === null || taskId === null) continue;
    const end = steps.find((step) => step.assignment_state !== null && !isOpen(step.assignment_state));
    lives.set(assignmentId, { assignmentId, annotatorId, taskId, steps, granted, end });
  }
  return lives;
}
