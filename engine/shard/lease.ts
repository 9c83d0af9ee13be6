import type { BatchResult } from '../commit/write-set.ts';
import type { AnnotatorId, AssignmentId, ProjectId, ShardId } from '../ids.ts';
import type { Timed } from '../queue/deadlines.ts';
import type { TaskEntry } from './task-entry.ts';

/**
 * The hold of one open assignment. It has three clocks, kept apart (all monotonic, ms):
 *
 * - `offerEndsMs`: an offer must be accepted by then;
 * - `silentAtMs`: without a heartbeat by then the holder counts as gone. Every beat moves it, a lost socket brings
 *   it nearer, and only the first kind writes nothing;
 * - `endsMs`: the task's maximum duration, which nothing extends.
 *
 * The heap holds the moment to look again (`dueMs`), not a promise: what fires asks the lease what is true now,
 * so a timer set for an earlier state of the lease changes nothing.
 */
export interface Lease extends Timed {
  readonly id: AssignmentId;
  readonly projectId: ProjectId;
  readonly shardId: ShardId;
  readonly task: TaskEntry;
  readonly annotatorId: AnnotatorId;
  readonly slot: number;
  readonly capacitySlot: number;
  readonly attempt: number;
  readonly requestId: string | null;
  state: 'offered' | 'active';
  /** When work could begin: grant, or acceptance of the offer. Lead time counts from here. */
  startedMs: number;
  offerEndsMs: number;
  silentAtMs: number;
  endsMs: number;
  /** The holder was told that the maximum duration is near. */
  warned: boolean;
  /** No socket of the holder is there: silence is put down to that. */
  dropped: boolean;
  hasDraft: boolean;
  /** Settles with the commit that granted it: nobody is told of the lease before. */
  saved: Promise<BatchResult>;
  /** False from the moment the lease ends: whoever still holds this object can tell. */
  open: boolean;
}

/** When the lease ends if nothing more is heard. */
export function leaseEndsMs(lease: Lease): number {
  const end = Math.min(lease.silentAtMs, lease.endsMs);
  return lease.state === 'offered' ? Math.min(end, lease.offerEndsMs) : end;
}
