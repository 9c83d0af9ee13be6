import type { Database } from '../../engine/index.ts';
import type { JsonObject } from '../../engine/settings.ts';
import {
  ASSIGNMENT_STATE_CODES as ASSIGNMENT,
  nameOf,
  TASK_STATE_CODES as TASK,
  TRANSITION_CODES as TRANSITION,
} from '../../engine/store/codes.ts';

export interface TaskRow {
  id: number;
  shard_id: number;
  state: number;
  overlap: number;
  filled: number;
  filled_slots: number[];
  attempts: number;
  hold_condition: number | null;
  priority: number;
  had: number[];
}

export interface AssignmentRow {
  id: number;
  shard_id: number;
  task_id: number;
  annotator_id: number;
  slot: number;
  capacity_slot: number;
  state: number;
}

export interface AnnotationRow {
  assignment_id: number;
  task_id: number;
  annotator_id: number;
  counted: boolean;
}

export interface TransitionRow {
  shard_id: number;
  seq: number;
  /** A task that moved has its history in several shards, each later than the one before. */
  at_ms: number;
  task_id: number | null;
  assignment_id: number | null;
  annotator_id: number | null;
  event: number;
  task_state: number | null;
  assignment_state: number | null;
  detail: JsonObject | null;
}

const COUNTER_NAMES = [
  'tasks',
  'waiting',
  'held',
  'complete',
  'cancelled',
  'submitted',
  'surplus',
  'skipped',
  'expired',
  'abandoned',
] as const;
export type ShardRow = Record<(typeof COUNTER_NAMES)[number] | 'id' | 'last_seq', number>;

export interface Rows {
  readonly tasks: readonly TaskRow[];
  readonly assignments: readonly AssignmentRow[];
  readonly annotations: readonly AnnotationRow[];
  readonly transitions: readonly TransitionRow[];
  readonly shards: readonly ShardRow[];
  readonly capacities: ReadonlyMap<number, number>;
  readonly unannounced: ReadonlyMap<number, number>;
}

/** Holds what is in the database against I1, I2, I4, I5 and I7. @returns everything that is wrong, in words. */
export async function violations(db: Database): Promise<string[]> {
  return violationsIn(await readAll(db));
}

/** The same of rows that lie elsewhere. */
export function violationsIn(rows: Rows): string[] {
  return [...slots(rows), ...capacity(rows), ...answers(rows), ...history(rows), ...counters(rows)];
}

async function readAll(db: Database): Promise<Rows> {
  const annotators: { id: number; capacity: number }[] = await db('annotators').select('id', 'capacity');
  const chunks: { shard_id: number; created: number }[] = await db('import_chunks').select();
  const unannounced = new Map<number, number>();
  for (const chunk of chunks)
    unannounced.set(chunk.shard_id, (unannounced.get(chunk.shard_id) ?? 0) + chunk.created);
  return {
    tasks: await db('tasks').orderBy('id').select(),
    assignments: await db('assignments').orderBy('id').select(),
    annotations: await db('annotations').orderBy('assignment_id').select(),
    transitions: await db('transitions')
      .orderBy(['shard_id', 'seq'])
      .select('*', db.raw('extract(epoch from at)::float8 * 1000 as at_ms')),
    shards: await db('shards').orderBy('id').select(),
    capacities: new Map(annotators.map((row) => [row.id, row.capacity])),
    unannounced,
  };
}

/** I1 and I5, for each task. */
function slots({ tasks, assignments }: Rows): string[] {
  const wrong: string[] = [];
  const byTask = groupBy(assignments, (row) => row.task_id);
  for (const task of tasks) {
    const counted = (byTask.get(task.id) ?? []).filter((row) => row.state <= ASSIGNMENT.accepted);
    const open = counted.filter((row) => row.state <= ASSIGNMENT.active);
    const say = (what: string) =>
      wrong.push(`task ${task.id} (${nameOf(TASK, task.state)}, overlap ${task.overlap}): ${what}`);
    if (counted.length > task.overlap) say(`I1: ${counted.length} counted assignments`);
    if (new Set(counted.map((row) => row.annotator_id)).size < counted.length) say('I1: an annotator twice');
    if (new Set(counted.map((row) => row.slot)).size < counted.length) say('I1: a slot twice');
    const answered = counted.filter((row) => row.state > ASSIGNMENT.active);
    if (answered.length !== task.filled) say(`${answered.length} answers, filled ${task.filled}`);
    const filled = answered.map((row) => row.slot).sort(byNumber);
    if (String(filled) !== String([...task.filled_slots].sort(byNumber)))
      say(`answers in slots ${filled}, filled_slots ${task.filled_slots}`);
    if (task.state === TASK.waiting && task.filled >= task.overlap) say('I5: waits and needs nothing');
    if (task.state === TASK.complete && task.filled < task.overlap) say('I5: complete without its answers');
    if ((task.state === TASK.held) !== (task.hold_condition !== null)) say('I5: held without a condition');
    if (open.some((row) => row.shard_id !== task.shard_id)) say('I6: a lease in another shard');
    if (open.length > 0 && task.state !== TASK.waiting && task.state !== TASK.held)
      say(`I5: ${open.length} open leases`);
  }
  return wrong;
}

/** I2. A capacity that was lowered while leases were open may be exceeded by them; tests that do so say it. */
function capacity({ assignments, capacities }: Rows): string[] {
  const open = assignments.filter((row) => row.state <= ASSIGNMENT.active);
  const wrong: string[] = [];
  for (const [annotatorId, leases] of groupBy(open, (row) => row.annotator_id)) {
    const allowed = capacities.get(annotatorId) ?? 0;
    if (leases.length > allowed)
      wrong.push(`I2: annotator ${annotatorId} holds ${leases.length} of ${allowed} leases`);
  }
  return wrong;
}

/** I4: answers and assignments match one to one. */
function answers({ assignments, annotations }: Rows): string[] {
  const wrong: string[] = [];
  const annotationOf = new Map(annotations.map((row) => [row.assignment_id, row]));
  for (const row of assignments) {
    const annotation = annotationOf.get(row.id);
    const isAnswered =
      row.state === ASSIGNMENT.submitted ||
      row.state === ASSIGNMENT.accepted ||
      row.state === ASSIGNMENT.surplus;
    if (isAnswered !== (annotation !== undefined))
      wrong.push(`I4: assignment ${row.id} is ${nameOf(ASSIGNMENT, row.state)}, annotation: ${!!annotation}`);
    if (!annotation) continue;
    if (annotation.counted !== (row.state !== ASSIGNMENT.surplus))
      wrong.push(
        `I4: assignment ${row.id} is ${nameOf(ASSIGNMENT, row.state)}, counted ${annotation.counted}`,
      );
    if (annotation.task_id !== row.task_id || annotation.annotator_id !== row.annotator_id)
      wrong.push(`I4: the annotation of assignment ${row.id} is of another task or annotator`);
  }
  if (annotationOf.size !== annotations.length) wrong.push('I4: an assignment has two annotations');
  const known = new Set(assignments.map((row) => row.id));
  for (const id of annotationOf.keys())
    if (!known.has(id)) wrong.push(`I4: annotation of no assignment ${id}`);
  return wrong;
}

/** I7: numbers without gaps, and every state is the fold of its transitions. */
function history({ tasks, assignments, transitions, shards }: Rows): string[] {
  const wrong: string[] = [];
  const byShard = groupBy(transitions, (row) => row.shard_id);
  for (const shard of shards) {
    const numbers = (byShard.get(shard.id) ?? []).map((row) => row.seq);
    const isDense = numbers.every((seq, i) => seq === i + 1) && numbers.length === shard.last_seq;
    if (!isDense) wrong.push(`I7: shard ${shard.id} counts to ${shard.last_seq}, its numbers: ${numbers}`);
  }
  const byTask = groupBy(inTime(transitions), (row) => row.task_id);
  for (const task of tasks) wrong.push(...taskHistory(task, byTask.get(task.id) ?? []));
  const byAssignment = groupBy(inTime(transitions), (row) => row.assignment_id);
  for (const row of assignments) {
    const steps = byAssignment.get(row.id) ?? [];
    const last = steps.filter((step) => step.assignment_state !== null).at(-1);
    if (last?.assignment_state !== row.state)
      wrong.push(`I7: assignment ${row.id} is ${row.state}, its history says ${last?.assignment_state}`);
    if (steps[0]?.event !== TRANSITION.assigned) wrong.push(`I7: assignment ${row.id} was never assigned`);
    if (steps.some((step) => step.task_id !== row.task_id || step.annotator_id !== row.annotator_id))
      wrong.push(`I7: the history of assignment ${row.id} names another task or annotator`);
  }
  return wrong;
}

function inTime(transitions: readonly TransitionRow[]): TransitionRow[] {
  return [...transitions].sort((a, b) => a.at_ms - b.at_ms || a.shard_id - b.shard_id || a.seq - b.seq);
}

const ENDED_WITHOUT_ANSWER: ReadonlySet<number> = new Set([
  TRANSITION.expired,
  TRANSITION.abandoned,
  TRANSITION.skipped,
  TRANSITION.released,
  TRANSITION.revoked,
]);

/** Nobody looked at the task, or the task itself was at fault. */
const COSTS_NO_ATTEMPT: ReadonlySet<string> = new Set(['offer_timeout', 'quarantined']);

function taskHistory(task: TaskRow, steps: readonly TransitionRow[]): string[] {
  let state: number = TASK.waiting;
  let filled = 0;
  let attempts = 0;
  let { overlap, priority } = task;
  const had = new Set<number>();
  for (const step of steps) {
    state = step.task_state ?? state;
    if (step.event === TRANSITION.submitted) filled += 1;
    if (ENDED_WITHOUT_ANSWER.has(step.event) && !COSTS_NO_ATTEMPT.has(String(step.detail?.reason)))
      attempts += 1;
    if (step.event === TRANSITION.task_requeued) attempts = 0;
    if (step.event === TRANSITION.task_overlap) overlap = Number(step.detail?.overlap);
    if (step.event === TRANSITION.task_priority) priority = Number(step.detail?.priority);
    const excludes =
      step.event === TRANSITION.submitted ||
      step.event === TRANSITION.surplus ||
      step.event === TRANSITION.skipped;
    if (excludes && step.annotator_id !== null) had.add(step.annotator_id);
  }
  const folded = { state, filled, attempts, overlap, priority, had: [...had].sort(byNumber) };
  const row = {
    state: task.state,
    filled: task.filled,
    attempts: task.attempts,
    overlap: task.overlap,
    priority: task.priority,
    had: [...task.had].sort(byNumber),
  };
  const is = JSON.stringify(row);
  const told = JSON.stringify(folded);
  return is === told ? [] : [`I7: task ${task.id} is ${is}, its history says ${told}`];
}

/** The numbers in a shard's row are those of the tables. */
function counters(rows: Rows): string[] {
  const tasksOf = groupBy(rows.tasks, (row) => row.shard_id);
  const stepsOf = groupBy(rows.transitions, (row) => row.shard_id);
  const counted = rows.annotations.filter((row) => row.counted).length;
  const sum = (name: 'submitted' | 'surplus') => rows.shards.reduce((total, row) => total + row[name], 0);
  const total =
    rows.shards.length === 0 ||
    (sum('submitted') === counted && sum('surplus') === rows.annotations.length - counted)
      ? []
      : [
          `all shards count ${sum('submitted')} answers and ${sum('surplus')} surplus, and there are ${counted} of
         ${rows.annotations.length} counted`,
        ];
  const perShard = rows.shards.flatMap((shard) => {
    const tasks = tasksOf.get(shard.id) ?? [];
    const steps = stepsOf.get(shard.id) ?? [];
    const unannounced = rows.unannounced.get(shard.id) ?? 0;
    const inState = (state: number) => tasks.filter((row) => row.state === state).length;
    const events = (event: number) => steps.filter((row) => row.event === event).length;
    const expected: Record<(typeof COUNTER_NAMES)[number], number> = {
      tasks: tasks.length - unannounced,
      waiting: inState(TASK.waiting) - unannounced,
      held: inState(TASK.held),
      complete: inState(TASK.complete),
      cancelled: inState(TASK.cancelled),
      // Where they were given: a task with surplus answers alone may have moved since.
      submitted: events(TRANSITION.submitted),
      surplus: events(TRANSITION.surplus),
      skipped: events(TRANSITION.skipped),
      expired: events(TRANSITION.expired),
      abandoned: events(TRANSITION.abandoned),
    };
    return COUNTER_NAMES.filter((name) => shard[name] !== expected[name]).map(
      (name) => `shard ${shard.id} counts ${shard[name]} ${name}, the tables ${expected[name]}`,
    );
  });
  return [...total, ...perShard];
}

function groupBy<Row, Key>(rows: readonly Row[], keyOf: (row: Row) => Key): Map<Key, Row[]> {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

function byNumber(a: number, b: number): number {
  return a - b;
}
