import type { Address } from '../bus/bus.ts';
import type { Timer } from '../clock.ts';
import type { AssignmentView } from '../door.ts';
import type { AnnotatorId, AssignmentId, AssignmentRef, ShardId } from '../ids.ts';

/** What the gateway remembers of a lease: enough to find it, and to know which place of capacity it fills. */
export interface DeskLease {
  readonly ref: AssignmentRef;
  readonly shardId: ShardId;
  readonly capacitySlot: number;
  readonly requestId: string | null;
}

/**
 * One annotator, as their gateway knows them: which engines have to do with them, what they hold, what they wait for.
 * None of it matters if it is lost: it is read and asked for again.
 */
export class Desk {
  readonly annotatorId: AnnotatorId;
  sockets = 0;
  readonly leases = new Map<AssignmentId, DeskLease>();
  /** The request that found nothing: it is asked again when an engine says that there is something, or changes. */
  wait: { readonly requestId: string; readonly projects: readonly string[] | undefined } | undefined;
  /** Engines that were told that they are here. */
  readonly engaged = new Set<Address>();
  /** A request was asked here or at another gateway, and what came of it is not known: the database says it. */
  isUnsure = true;
  grace: Timer | undefined;
  private last: Promise<unknown> = Promise.resolve();

  constructor(annotatorId: AnnotatorId) {
    this.annotatorId = annotatorId;
  }

  /** Requests of one annotator come one after the other: two at once could both find the same place of capacity free. */
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.last.then(run, run);
    this.last = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  took(view: AssignmentView, requestId: string | null = null): void {
    const { ref, shardId, capacitySlot } = view;
    this.leases.set(ref.id, { ref, shardId, capacitySlot, requestId });
  }
}
