import { type AssignmentId, asId } from './ids.ts';
import type { Store } from './store/store.ts';

/** Fetch the next block when this few are left. */
const LOW_WATER = 1_024;

/**
 * Assignment ids, drawn from the database in blocks so that a lease needs no round trip for its id. Ids of a
 * block that a crash left over are never used: an id names one lease, once.
 */
export class AssignmentIds {
  private next = 0;
  private end = 0;
  private following: { first: number; count: number } | undefined;
  private fetching: Promise<void> | undefined;
  private readonly store: Pick<Store, 'allocateAssignmentIds'>;
  private readonly onError: (error: unknown) => void;

  constructor(store: Pick<Store, 'allocateAssignmentIds'>, onError: (error: unknown) => void) {
    this.store = store;
    this.onError = onError;
  }

  /** @returns undefined when the block is used up and the next one is not here yet: try again. */
  take(): AssignmentId | undefined {
    if (this.next === this.end) {
      const block = this.following;
      this.following = undefined;
      if (block) {
        this.next = block.first;
        this.end = block.first + block.count;
      }
    }
    if (this.end - this.next < LOW_WATER && !this.following) this.fetch().catch(this.onError);
    if (this.next === this.end) return undefined;
    return asId<AssignmentId>(this.next++);
  }

  /** @throws when the database is away. */
  fetch(): Promise<void> {
    this.fetching ??= this.store
      .allocateAssignmentIds()
      .then((block) => {
        this.following = block;
      })
      .finally(() => {
        this.fetching = undefined;
      });
    return this.fetching;
  }
}
