import {
  ASSIGNMENT_STATE_CODES as ASSIGNMENT,
  TASK_STATE_CODES as TASK,
  TRANSITION_CODES as TRANSITION,
} from '../../engine/store/codes.ts';
import type { ChaosRows, TimedTransition } from './checker/index.ts';
import { type HistoryLine, historiesOf, type Operation } from './history.ts';

type Mutable<Row> = { -readonly [Key in keyof Row]: Row[Key] };
type RowOf<Name extends keyof ChaosRows> = ChaosRows[Name] extends readonly (infer Row)[]
  ? Mutable<Row>
  : never;

/** The wall clock is that far ahead of the clock of the histories. */
const WALL_MS = 1_000_000;

const HOW = {
  submitted: { event: TRANSITION.submitted, state: ASSIGNMENT.submitted },
  abandoned: { event: TRANSITION.abandoned, state: ASSIGNMENT.abandoned },
  expired: { event: TRANSITION.expired, state: ASSIGNMENT.expired },
  skipped: { event: TRANSITION.skipped, state: ASSIGNMENT.skipped },
  released: { event: TRANSITION.released, state: ASSIGNMENT.released },
} as const;

/**
 * A made-up campaign: what clients saw and what the database holds, which agree until a test makes them differ. One project
 * with id 1 and one shard with id 1; annotators 1 to 3, each with a capacity of 1.
 */
export class Story {
  readonly lines: HistoryLine[] = [{ t: 'clock', atMs: 0, wallMs: WALL_MS }];
  readonly tasks: RowOf<'tasks'>[] = [];
  readonly assignments: RowOf<'assignments'>[] = [];
  readonly annotations: RowOf<'annotations'>[] = [];
  readonly drafts: RowOf<'drafts'>[] = [];
  readonly transitions: Mutable<TimedTransition>[] = [];
  readonly commits: RowOf<'commits'>[] = [];
  readonly capacities = new Map([1, 2, 3].map((id) => [id, 1]));

  task(id: number, overlap = 1): void {
    const externalId = `t-${id}`;
    this.lines.push({
      t: 'import',
      project: 'alpha',
      externalIds: [externalId],
      startMs: 0,
      endMs: 1,
      outcome: 'ok',
    });
    this.tasks.push({
      id,
      project_id: 1,
      external_id: externalId,
      shard_id: 1,
      state: TASK.waiting,
      overlap,
      filled: 0,
      filled_slots: [],
      attempts: 0,
      hold_condition: null,
      priority: 0,
      had: [],
    });
  }

  /** Annotator asked for work and got this lease, for 6 s. */
  grant(id: number, args: { task: number; annotator: number; atMs: number; slot?: number }): void {
    const { task, annotator, atMs, slot = 0 } = args;
    this.assignments.push({
      id,
      project_id: 1,
      shard_id: 1,
      task_id: task,
      annotator_id: annotator,
      slot,
      capacity_slot: 0,
      state: ASSIGNMENT.active,
      request_id: `r-${id}`,
      deadline_ms: WALL_MS + atMs + 6_000,
    });
    this.step({ assignment: id, event: TRANSITION.assigned, state: ASSIGNMENT.active, atMs });
    this.say({
      event: 'work:request',
      annotator,
      startMs: atMs - 5,
      requestId: `r-${id}`,
      leases: [{ id: `1-${id}`, project: 'alpha', taskId: String(task), expiresInMs: 6_000 }],
    });
  }

  /** The lease ended, by the database. */
  end(id: number, how: keyof typeof HOW, atMs: number, reason?: string): void {
    const { event, state } = HOW[how];
    const row = this.assignments.find((one) => one.id === id);
    const task = this.tasks.find((one) => one.id === row?.task_id);
    if (!row || !task) throw new Error(`there is no lease ${id}`);
    row.state = state;
    if (how === 'submitted') {
      task.filled += 1;
      task.filled_slots = [...task.filled_slots, row.slot];
      if (task.filled >= task.overlap) task.state = TASK.complete;
    } else {
      task.attempts += 1;
    }
    if (how === 'submitted' || how === 'skipped') task.had = [...task.had, row.annotator_id];
    this.step({ assignment: id, event, state, atMs, ...(reason === undefined ? {} : { reason }) });
  }

  /** The holder submitted and was told so. */
  submit(id: number, atMs: number, result: unknown = { label: id }): void {
    this.end(id, 'submitted', atMs);
    const row = this.assignments.find((one) => one.id === id);
    if (!row) throw new Error(`there is no lease ${id}`);
    this.annotations.push({
      project_id: 1,
      assignment_id: id,
      task_id: row.task_id,
      annotator_id: row.annotator_id,
      counted: true,
      submission_id: `s-${id}`,
      result,
    });
    this.say({
      event: 'work:submit',
      annotator: row.annotator_id,
      startMs: atMs - 5,
      assignmentId: `1-${id}`,
      submissionId: `s-${id}`,
      payload: result,
      receipt: { assignmentId: `1-${id}`, submissionId: `s-${id}`, status: 'counted', late: false },
    });
  }

  /** The holder saved a draft and was told so. */
  draft(id: number, atMs: number, draft: unknown): void {
    const row = this.assignments.find((one) => one.id === id);
    if (!row) throw new Error(`there is no lease ${id}`);
    const { task_id, annotator_id } = row;
    const known = this.drafts.find((one) => one.task_id === task_id && one.annotator_id === annotator_id);
    if (known) known.draft = draft;
    else this.drafts.push({ task_id, annotator_id, assignment_id: id, draft });
    this.say({
      event: 'work:draft',
      annotator: annotator_id,
      startMs: atMs,
      assignmentId: `1-${id}`,
      payload: draft,
    });
  }

  /** An attempt of a message, answered with ok within 10 ms unless it is said otherwise. */
  say(op: Pick<Operation, 'event' | 'annotator' | 'startMs'> & Partial<Operation>): void {
    this.lines.push({ t: 'op', tab: 'a', outcome: 'ok', endMs: op.startMs + 10, ...op });
  }

  step(args: { assignment: number; event: number; state: number; atMs: number; reason?: string }): void {
    const { assignment, event, state, atMs, reason } = args;
    const row = this.assignments.find((one) => one.id === assignment);
    const task = this.tasks.find((one) => one.id === row?.task_id);
    if (!row || !task) throw new Error(`there is no lease ${assignment}`);
    const seq = this.transitions.length + 1;
    this.transitions.push({
      shard_id: 1,
      seq,
      project_id: 1,
      task_id: row.task_id,
      assignment_id: assignment,
      annotator_id: row.annotator_id,
      event,
      task_state: task.state,
      assignment_state: state,
      detail: reason === undefined ? null : { reason },
      at_ms: WALL_MS + atMs,
      committed_ms: WALL_MS + atMs + 2,
    });
    this.commits.push({
      shard_id: 1,
      incarnation: 1,
      epoch: 1,
      from_seq: seq - 1,
      row_owner: 1,
      row_epoch: 1,
      row_seq: seq - 1,
      at_ms: WALL_MS + atMs,
    });
  }

  histories() {
    return historiesOf(this.lines);
  }

  rows(): ChaosRows {
    const inState = (state: number) => this.tasks.filter((task) => task.state === state).length;
    const events = (event: number) => this.transitions.filter((step) => step.event === event).length;
    return {
      projects: [{ id: 1, slug: 'alpha', settings: { heartbeatMs: 6_000, reconnectGraceMs: 4_000 } }],
      tasks: this.tasks,
      assignments: this.assignments,
      annotations: this.annotations,
      drafts: this.drafts,
      transitions: this.transitions,
      commits: this.commits,
      owners: [],
      nodes: [],
      capacities: this.capacities,
      unannounced: new Map(),
      readAtMs: WALL_MS + 100_000,
      shards: [
        {
          id: 1,
          last_seq: this.transitions.length,
          tasks: this.tasks.length,
          waiting: inState(TASK.waiting),
          held: inState(TASK.held),
          complete: inState(TASK.complete),
          cancelled: inState(TASK.cancelled),
          submitted: this.annotations.filter((row) => row.counted).length,
          surplus: this.annotations.filter((row) => !row.counted).length,
          skipped: events(TRANSITION.skipped),
          expired: events(TRANSITION.expired),
          abandoned: events(TRANSITION.abandoned),
        },
      ],
    };
  }
}
