import { upcastAssignment } from '../../machines/index.ts';
import type { EngineContext } from '../context.ts';
import type { Incarnation, ShardId, TaskId } from '../ids.ts';
import type { OpenAssignmentRow, TaskRow } from '../store/store.ts';
import { quarantine } from './advance.ts';
import { enterLease } from './grant.ts';
import type { Lease } from './lease.ts';
import { brokenTaskEntry, newTaskEntry, type TaskEntry } from './task-entry.ts';
import { Term, type TermHost } from './term.ts';

/**
 * Takes the shard over and rebuilds its memory from the database.
 *
 * Every open lease gets a grace of one lease time from now: beats that the last owner heard are not on disk, and
 * a lease that is being renewed must not end early because its shard moved (I8).
 *
 * @returns undefined while a live node owns the shard. @throws when the database is away.
 */
export async function recoverTerm(
  context: EngineContext,
  host: TermHost,
  args: { shardId: ShardId; incarnation: Incarnation; termMs: number },
): Promise<Term | undefined> {
  const taken = await context.store.takeShard(args.shardId, args.incarnation, args.termMs);
  if (!taken) return undefined;
  const image = await context.store.loadShard(args.shardId);
  if (!image) throw new Error(`shard ${args.shardId} is owned and not there`);
  const holders = await context.roster.hold([...new Set(image.open.map((row) => row.annotatorId))]);
  const term = new Term({
    context,
    host,
    shardId: args.shardId,
    epoch: taken.epoch,
    lastSeq: taken.lastSeq,
    project: image.project,
    counters: { ...image.counters },
  });
  const openByTask = byTask(image.open);
  for (const row of image.tasks) adoptTask(term, row, openByTask.get(row.id) ?? []);
  for (const holder of holders) context.roster.release(holder);
  return term;
}

/** Enters a task that was read from disk, with its open leases. One that cannot be understood is quarantined. */
export function adoptTask(term: Term, row: TaskRow, open: readonly OpenAssignmentRow[]): TaskEntry {
  const { maxAttempts } = term.project.settings;
  let broken: unknown;
  let task: TaskEntry;
  try {
    task = newTaskEntry(row, open.length, maxAttempts);
    for (const assignment of open) upcastAssignment(assignment.machineVersion, { state: assignment.state });
  } catch (error) {
    broken = error;
    task = brokenTaskEntry(row, maxAttempts);
  }
  term.tasks.set(task.id, task);
  for (const assignment of open) resumeLease(term, task, assignment);
  if (broken !== undefined) quarantine(term, task, broken);
  term.queue.place(task, false);
  return task;
}

function byTask(open: readonly OpenAssignmentRow[]): Map<TaskId, OpenAssignmentRow[]> {
  const groups = new Map<TaskId, OpenAssignmentRow[]>();
  for (const row of open) {
    const group = groups.get(row.taskId);
    if (group) group.push(row);
    else groups.set(row.taskId, [row]);
  }
  return groups;
}

function resumeLease(term: Term, task: TaskEntry, row: OpenAssignmentRow): void {
  const { settings } = term.project;
  const nowMs = term.context.clock.nowMs();
  const { without } = term.context;
  const graceMs = without.has('takeover_grace')
    ? 0
    : Math.max(settings.heartbeatMs, settings.reconnectGraceMs);
  const member = term.context.roster.peek(row.annotatorId);
  if (!member) throw new Error(`annotator ${row.annotatorId} holds a lease and is not there`);
  const lease: Lease = {
    id: row.id,
    projectId: term.projectId,
    shardId: term.shardId,
    task,
    annotatorId: row.annotatorId,
    slot: row.slot,
    capacitySlot: row.capacitySlot,
    attempt: row.attempt,
    requestId: row.requestId,
    state: row.state,
    startedMs: nowMs - row.ageMs,
    offerEndsMs: nowMs + Math.max(settings.offerMs, graceMs),
    silentAtMs: nowMs + graceMs,
    endsMs: nowMs + Math.max(settings.maxDurationMs - row.ageMs, graceMs),
    warned: false,
    dropped: member.gateways.size === 0,
    // Not known without a read; true costs one look when the answer comes.
    hasDraft: true,
    saved: Promise.resolve('committed'),
    open: true,
    dueMs: 0,
    heapIndex: -1,
  };
  enterLease(term, member, lease);
}
