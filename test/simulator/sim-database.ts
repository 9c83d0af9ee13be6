import {
  type AnnotatorId,
  asId,
  type Incarnation,
  type ProjectId,
  type ShardId,
  type TaskId,
} from '../../engine/ids.ts';
import { DEFAULT_SETTINGS, type Json, type ProjectSettings } from '../../engine/settings.ts';
import {
  ASSIGNMENT_STATE_CODES as ASSIGNMENT,
  HOLD_CONDITION_CODES,
  TASK_STATE_CODES as TASK,
  TRANSITION_CODES,
} from '../../engine/store/codes.ts';
import type {
  AnnotatorRow,
  CommitOutcome,
  NodeRow,
  ProjectRow,
  ShardBatch,
  ShardCounters,
  TaskRow,
  TransitionWrite,
} from '../../engine/store/store.ts';
import { type AssignmentState, MACHINE_VERSION } from '../../machines/index.ts';
import type { Rows } from '../engine/invariants.ts';

/** Checks that can be taken out, to see that the simulator notices. */
export type DatabaseWeakness = 'fence' | 'capacity' | 'idempotency';

export interface SimShard {
  readonly id: ShardId;
  readonly projectId: ProjectId;
  owner: Incarnation | null;
  epoch: number;
  lastSeq: number;
  move: number;
  readonly counters: ShardCounters;
}

export interface SimAssignment {
  readonly id: number;
  readonly projectId: ProjectId;
  readonly shardId: ShardId;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  slot: number;
  readonly capacitySlot: number;
  readonly attempt: number;
  readonly requestId: string | null;
  state: AssignmentState;
  readonly grantedMs: number;
}

export interface SimAnnotation {
  readonly assignmentId: number;
  readonly taskId: TaskId;
  readonly annotatorId: AnnotatorId;
  readonly counted: boolean;
  readonly late: boolean;
  readonly submissionId: string;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type SimTask = Mutable<TaskRow> & { readonly projectId: ProjectId; shardId: ShardId };
export type SimTransition = TransitionWrite & { readonly shardId: ShardId; readonly atMs: number };

const NO_COUNTERS: ShardCounters = {
  tasks: 0,
  waiting: 0,
  held: 0,
  complete: 0,
  cancelled: 0,
  submitted: 0,
  surplus: 0,
  skipped: 0,
  expired: 0,
  abandoned: 0,
};

/** The tables of Baton in memory, with everything that Postgres enforces on them. Each method happens at one moment. */
export class SimDatabase {
  readonly nodes = new Map<Incarnation, { row: NodeRow; renewedMs: number }>();
  readonly projects = new Map<ProjectId, ProjectRow>();
  readonly shards = new Map<ShardId, SimShard>();
  readonly annotators = new Map<AnnotatorId, AnnotatorRow>();
  readonly tasks = new Map<TaskId, SimTask>();
  readonly assignments = new Map<number, SimAssignment>();
  readonly annotations = new Map<number, SimAnnotation>();
  readonly drafts = new Map<string, Json>();
  readonly transitions: SimTransition[] = [];
  readonly chunks = new Map<
    number,
    { id: number; shardId: ShardId; created: number; movedFrom: number | null }
  >();
  readonly nowMs: () => number;
  private readonly without: ReadonlySet<DatabaseWeakness>;
  private readonly open = new Set<SimAssignment>();
  private readonly assignmentsOf = new Map<TaskId, SimAssignment[]>();
  private readonly transitionsOf = new Map<TaskId, SimTransition[]>();
  private touched = new Set<TaskId>();
  private lastId = 0;
  private lastMove = 0;

  constructor(args: { nowMs: () => number; without?: readonly DatabaseWeakness[] }) {
    this.nowMs = args.nowMs;
    this.without = new Set(args.without ?? []);
  }

  nextId(): number {
    this.lastId += 1;
    return this.lastId;
  }

  moved(shard: SimShard): void {
    this.lastMove += 1;
    shard.move = this.lastMove;
  }

  addProject(settings: Partial<ProjectSettings>, shardCount: number): ProjectRow {
    const id = asId<ProjectId>(this.nextId());
    const shardIds = Array.from({ length: shardCount }, () => asId<ShardId>(this.nextId()));
    for (const shardId of shardIds) this.addShard(shardId, id);
    const row = {
      id,
      slug: `p${id}`,
      status: 'active' as const,
      settings: { ...DEFAULT_SETTINGS, ...settings },
      shardIds,
    };
    this.projects.set(id, row);
    return row;
  }

  addShard(id: ShardId, projectId: ProjectId): void {
    const counters = { ...NO_COUNTERS };
    const shard = { id, projectId, owner: null, epoch: 0, lastSeq: 0, move: 0, counters };
    this.shards.set(id, shard);
    this.moved(shard);
  }

  addAnnotator(capacity: number): AnnotatorId {
    const id = asId<AnnotatorId>(this.nextId());
    this.annotators.set(id, { id, status: 'active', capacity, skills: {}, memberOf: [] });
    return id;
  }

  /** As an import does: the rows, and a chunk that the shard's owner has yet to announce. */
  addTasks(project: ProjectRow, shardId: ShardId, count: number): void {
    for (let i = 0; i < count; i++) {
      const id = asId<TaskId>(this.nextId());
      this.tasks.set(id, {
        id,
        projectId: project.id,
        shardId,
        state: 'waiting',
        machineVersion: MACHINE_VERSION,
        overlap: project.settings.overlap,
        filled: 0,
        filledSlots: [],
        attempts: 0,
        condition: null,
        priority: 0,
        had: [],
        requirements: null,
        requeued: false,
        queuePriority: 0,
        queueRank: id,
      });
    }
    const id = this.nextId();
    this.chunks.set(id, { id, shardId, created: count, movedFrom: null });
  }

  openLeases(): Iterable<SimAssignment> {
    return this.open;
  }

  /** All or nothing. */
  commit(incarnation: Incarnation, batches: readonly ShardBatch[]): CommitOutcome {
    const lost = batches.filter((batch) => this.isFenced(incarnation, batch)).map((batch) => batch.shardId);
    if (lost.length > 0) return { kind: 'fenced', shardIds: lost };
    const clash = this.clashOf(batches);
    if (clash) return clash;
    for (const batch of batches) this.apply(batch);
    return { kind: 'committed' };
  }

  /** Everything, as Postgres would give it. */
  rows(): Rows {
    const { tasks, assignments, annotations, transitions } = this;
    return this.rowsOf({
      tasks: tasks.values(),
      assignments: assignments.values(),
      annotations: annotations.values(),
      transitions,
      shards: this.shards.values(),
    });
  }

  /** All about the tasks that were written since the last call, and nothing of shards. */
  touchedRows(): Rows | undefined {
    if (this.touched.size === 0) return undefined;
    const ids = [...this.touched];
    this.touched = new Set();
    const assignments = ids.flatMap((id) => this.assignmentsOf.get(id) ?? []);
    return this.rowsOf({
      tasks: ids.flatMap((id) => this.tasks.get(id) ?? []),
      assignments,
      annotations: assignments.flatMap((row) => this.annotations.get(row.id) ?? []),
      transitions: ids.flatMap((id) => this.transitionsOf.get(id) ?? []),
      shards: [],
    });
  }

  private rowsOf(from: {
    tasks: Iterable<SimTask>;
    assignments: Iterable<SimAssignment>;
    annotations: Iterable<SimAnnotation>;
    transitions: Iterable<SimTransition>;
    shards: Iterable<SimShard>;
  }): Rows {
    const unannounced = new Map<number, number>();
    for (const { shardId, created } of this.chunks.values())
      unannounced.set(shardId, (unannounced.get(shardId) ?? 0) + created);
    return {
      tasks: [...from.tasks].map((task) => ({
        id: task.id,
        shard_id: task.shardId,
        state: TASK[task.state],
        overlap: task.overlap,
        filled: task.filled,
        filled_slots: [...task.filledSlots],
        attempts: task.attempts,
        hold_condition: task.condition === null ? null : HOLD_CONDITION_CODES[task.condition],
        priority: task.priority,
        had: [...task.had],
      })),
      assignments: [...from.assignments].map((row) => ({
        id: row.id,
        shard_id: row.shardId,
        task_id: row.taskId,
        annotator_id: row.annotatorId,
        slot: row.slot,
        capacity_slot: row.capacitySlot,
        state: ASSIGNMENT[row.state],
      })),
      annotations: [...from.annotations].map((row) => ({
        assignment_id: row.assignmentId,
        task_id: row.taskId,
        annotator_id: row.annotatorId,
        counted: row.counted,
      })),
      transitions: [...from.transitions]
        .sort((a, b) => a.shardId - b.shardId || a.seq - b.seq)
        .map((row) => ({
          shard_id: row.shardId,
          seq: row.seq,
          at_ms: row.atMs,
          task_id: row.taskId,
          assignment_id: row.assignmentId,
          annotator_id: row.annotatorId,
          event: TRANSITION_CODES[row.event],
          task_state: row.taskState === null ? null : TASK[row.taskState],
          assignment_state: row.assignmentState === null ? null : ASSIGNMENT[row.assignmentState],
          detail: row.detail,
        })),
      shards: [...from.shards].map((row) => ({
        id: row.id,
        last_seq: row.lastSeq,
        ...row.counters,
      })),
      capacities: new Map([...this.annotators.values()].map((row) => [row.id, row.capacity])),
      unannounced,
    };
  }

  private isFenced(incarnation: Incarnation, batch: ShardBatch): boolean {
    const shard = this.shards.get(batch.shardId);
    if (this.without.has('fence') && shard) return false;
    return shard?.owner !== incarnation || shard.epoch !== batch.epoch || shard.lastSeq !== batch.fromSeq;
  }

  /** The unique indexes, over the rows as the whole commit would leave them. */
  private clashOf(batches: readonly ShardBatch[]): CommitOutcome | undefined {
    const after = new Map<number, Omit<SimAssignment, 'grantedMs'>>();
    const touched = new Set<TaskId>();
    const touchedAnnotators = new Set<AnnotatorId>();
    for (const batch of batches) {
      for (const change of [...batch.assignmentReleases, ...batch.assignmentClaims]) {
        const row = this.assignments.get(change.id);
        if (!row) continue;
        after.set(row.id, { ...row, state: change.state, slot: change.slot ?? row.slot });
        touched.add(row.taskId);
      }
      for (const row of batch.assignmentInserts) {
        after.set(row.id, { ...row, projectId: batch.projectId, shardId: batch.shardId });
        touched.add(row.taskId);
        touchedAnnotators.add(row.annotatorId);
      }
    }
    const slots = new Set<string>();
    const holders = new Set<string>();
    const places = new Set<string>();
    const requests = new Set<string>();
    const rows = [...this.assignments.values()].filter(
      (row) => !after.has(row.id) && (touched.has(row.taskId) || this.open.has(row)),
    );
    for (const row of [...rows, ...after.values()]) {
      const code = ASSIGNMENT[row.state];
      if (code <= ASSIGNMENT.accepted && touched.has(row.taskId)) {
        const slot = `${row.taskId}:${row.slot}`;
        const holder = `${row.taskId}:${row.annotatorId}`;
        if (slots.has(slot) || holders.has(holder))
          return { kind: 'failed', error: new Error('a slot twice'), clashingTask: row.taskId };
        slots.add(slot);
        holders.add(holder);
      }
      if (code <= ASSIGNMENT.active && touchedAnnotators.has(row.annotatorId)) {
        const place = `${row.annotatorId}:${row.capacitySlot}`;
        if (places.has(place) && !this.without.has('capacity'))
          return { kind: 'over_capacity', annotatorId: row.annotatorId };
        places.add(place);
        const request = row.requestId === null ? undefined : `${row.annotatorId}:${row.requestId}`;
        if (request !== undefined && requests.has(request) && !this.without.has('idempotency'))
          return { kind: 'over_capacity', annotatorId: row.annotatorId };
        if (request !== undefined) requests.add(request);
      }
    }
    return undefined;
  }

  private apply(batch: ShardBatch): void {
    const shard = this.shards.get(batch.shardId);
    if (!shard) throw new Error(`no shard ${batch.shardId}`);
    shard.lastSeq = batch.toSeq;
    for (const [name, by] of Object.entries(batch.counters)) addTo(shard.counters, name, by);
    for (const change of [...batch.assignmentReleases, ...batch.assignmentClaims]) {
      const row = this.assignments.get(change.id);
      if (!row) throw new Error(`no assignment ${change.id}`);
      row.state = change.state;
      if (change.slot !== null) row.slot = change.slot;
      if (ASSIGNMENT[row.state] > ASSIGNMENT.active) this.open.delete(row);
    }
    for (const insert of batch.assignmentInserts) {
      const { deadlineInMs: _deadline, endReason: _reason, ...rest } = insert;
      const row = { ...rest, projectId: batch.projectId, shardId: batch.shardId, grantedMs: this.nowMs() };
      if (this.assignments.has(row.id)) throw new Error(`assignment ${row.id} is there already`);
      this.assignments.set(row.id, row);
      addInto(this.assignmentsOf, row.taskId, row);
      if (ASSIGNMENT[row.state] <= ASSIGNMENT.active) this.open.add(row);
    }
    for (const { id, holdDetail: _detail, ...update } of batch.tasks) {
      const task = this.tasks.get(id);
      if (!task) throw new Error(`no task ${id}`);
      Object.assign(task, update);
    }
    for (const row of batch.annotations) {
      if (this.annotations.has(row.assignmentId))
        throw new Error(`a second annotation of ${row.assignmentId}`);
      this.annotations.set(row.assignmentId, row);
    }
    for (const row of batch.drafts) {
      const key = `${row.taskId}:${row.annotatorId}`;
      if (row.draftText === null) this.drafts.delete(key);
      else this.drafts.set(key, JSON.parse(row.draftText));
    }
    for (const id of batch.announcedChunks) this.chunks.delete(id);
    for (const row of batch.transitions) this.record({ ...row, shardId: batch.shardId, atMs: this.nowMs() });
  }

  record(row: SimTransition): void {
    this.transitions.push(row);
    if (row.taskId === null) return;
    addInto(this.transitionsOf, row.taskId, row);
    this.touched.add(row.taskId);
  }
}

function addInto<Key, Row>(groups: Map<Key, Row[]>, key: Key, row: Row): void {
  const group = groups.get(key);
  if (group) group.push(row);
  else groups.set(key, [row]);
}

function addTo(counters: ShardCounters, name: string, by: number): void {
  if (name in counters) Object.assign(counters, { [name]: Number(Reflect.get(counters, name)) + by });
}
