import type { AnnotatorId } from '../ids.ts';
import { compareKeys, HIGHEST_KEY, LOWEST_KEY, type QueueKey } from './key.ts';

/** What the lane keeps of a ready task. `arrival` is the lane's own; others leave it alone. */
export interface Queued extends QueueKey {
  arrival: number;
  inLane: boolean;
}

interface Position {
  /** Everything in the window at or before this key that came before `arrival` is not for this annotator. */
  key: QueueKey;
  arrival: number;
  /** The annotator's own reading of the disk beyond the window has come this far. */
  deepKey: QueueKey;
}

/** Returned tasks that one search may compare before it settles for the best so far. */
const RETURNED_COMPARED_MAX = 64;

/**
 * One lane of a shard's ready queue: a window, in memory, onto an order that lies on disk.
 *
 * L1 The window holds every ready task of the lane with a key up to `frontier` (all of them once `exhausted`),
 *    unless that task is in memory for another reason and has no free slot.
 * L2 An annotator's position only passes tasks that are not for them. A task that could be for them again, or
 *    that enters behind somebody's position, gets a new arrival number, and a search looks at later arrivals
 *    before it goes on from its key. So no task is missed and none is looked at twice: picking costs the same
 *    for who has done nothing and for who has done everything.
 * L3 A task that leaves memory while it is ready moves back the deep positions that had passed it.
 */
export class Lane<T extends Queued> {
  frontier: QueueKey = LOWEST_KEY;
  exhausted = false;
  /** The size at which the next trim is worth its while: what could not go last time will not have gone since. */
  trimAt = 0;
  private readonly window: T[] = [];
  private arrivals: { no: number; item: T }[] = [];
  private arrivalNo = 0;
  private readonly positions = new Map<AnnotatorId, Position>();
  /** The furthest key any annotator's search has passed. */
  private passedKey: QueueKey = LOWEST_KEY;

  get size(): number {
    return this.window.length;
  }

  /** True for a key that a read up to now would have brought: such a task must be in the window (L1). */
  covers(key: QueueKey): boolean {
    return this.exhausted || compareKeys(key, this.frontier) <= 0;
  }

  /** Puts a ready task where its key belongs; a task that is already there counts as newly arrived. */
  insert(item: T): void {
    if (!item.inLane) {
      this.window.splice(this.indexOf(item), 0, item);
      item.inLane = true;
    }
    if (compareKeys(item, this.passedKey) <= 0) this.stamp(item);
  }

  remove(item: T): void {
    if (!item.inLane) return;
    this.window.splice(this.indexOfItem(item), 1);
    item.inLane = false;
    item.arrival = 0;
  }

  /** @returns the best task for this annotator in the window, or undefined. Does not remove it. */
  find(annotatorId: AnnotatorId, suits: (item: T) => boolean): T | undefined {
    const position = this.positionOf(annotatorId);
    // Beyond this key the disk may hold better ones than the window does.
    const end = this.exhausted ? HIGHEST_KEY : this.deepKeyOf(annotatorId);
    const returned = this.findReturned(position, end, suits);
    const next = this.findNext(position, end, suits);
    if (!returned || !next) return returned ?? next;
    return compareKeys(returned, next) <= 0 ? returned : next;
  }

  /** How far this annotator's own reads of the disk have come; at least the frontier. */
  deepKeyOf(annotatorId: AnnotatorId): QueueKey {
    const { deepKey } = this.positionOf(annotatorId);
    return compareKeys(deepKey, this.frontier) < 0 ? this.frontier : deepKey;
  }

  advanceDeep(annotatorId: AnnotatorId, key: QueueKey): void {
    this.positionOf(annotatorId).deepKey = key;
  }

  /** The disk has new rows beyond the frontier: what anybody read there before is not all. */
  resetDeep(): void {
    for (const position of this.positions.values()) position.deepKey = LOWEST_KEY;
  }

  /** True when the disk holds nothing that this annotator's searches have not seen. */
  isSpent(annotatorId: AnnotatorId): boolean {
    return this.exhausted || this.deepKeyOf(annotatorId) === HIGHEST_KEY;
  }

  /** A ready task goes out of memory: whoever might want it must find it on disk again (L3). */
  forgotten(item: T, couldSuit: (annotatorId: AnnotatorId) => boolean): void {
    for (const [annotatorId, position] of this.positions) {
      if (compareKeys(position.deepKey, item) >= 0 && couldSuit(annotatorId)) {
        position.deepKey = { queuePriority: item.queuePriority, queueRank: item.queueRank - 1 };
      }
    }
  }

  /**
   * Takes the tail of the window off, so that it holds `rowsMax` of those that may go; the frontier moves back to
   * keep L1.
   */
  trim(rowsMax: number, mayGo: (item: T) => boolean): T[] {
    const kept: T[] = [];
    const cut: T[] = [];
    let room = rowsMax;
    let before: T | undefined;
    for (const item of this.window) {
      const stays = !mayGo(item) || room-- > 0;
      (stays ? kept : cut).push(item);
      if (stays && cut.length === 0) before = item;
    }
    if (cut.length === 0) return cut;
    this.window.splice(0, this.window.length, ...kept);
    for (const item of cut) {
      item.inLane = false;
      item.arrival = 0;
    }
    if (before && (this.exhausted || compareKeys(before, this.frontier) < 0)) {
      this.frontier = { queuePriority: before.queuePriority, queueRank: before.queueRank };
    }
    this.exhausted = false;
    return cut;
  }

  /** Something about this annotator changed (skills): what did not suit may suit now. */
  forgetPosition(annotatorId: AnnotatorId): void {
    this.positions.delete(annotatorId);
  }

  /** New rows are on disk behind the frontier: everything is read again from the start. */
  reset(): T[] {
    const all = this.window.splice(0);
    for (const item of all) {
      item.inLane = false;
      item.arrival = 0;
    }
    this.arrivals = [];
    this.positions.clear();
    this.passedKey = LOWEST_KEY;
    this.frontier = LOWEST_KEY;
    this.exhausted = false;
    return all;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.window[Symbol.iterator]();
  }

  private findReturned(position: Position, end: QueueKey, suits: (item: T) => boolean): T | undefined {
    let best: T | undefined;
    let compared = 0;
    let passing = true;
    for (let i = this.firstArrivalAfter(position.arrival); i < this.arrivals.length; i++) {
      const arrival = this.arrivals[i];
      if (!arrival) break;
      const { no, item } = arrival;
      const wanted =
        item.inLane && item.arrival === no && compareKeys(item, position.key) <= 0 && suits(item);
      if (wanted && compareKeys(item, end) > 0) {
        passing = false;
      } else if (wanted) {
        passing = false;
        if (!best || compareKeys(item, best) < 0) best = item;
        if (++compared >= RETURNED_COMPARED_MAX) break;
      } else if (passing) {
        position.arrival = no;
      }
    }
    return best;
  }

  private findNext(position: Position, end: QueueKey, suits: (item: T) => boolean): T | undefined {
    for (let i = this.indexAfter(position.key); i < this.window.length; i++) {
      const item = this.window[i];
      if (!item || compareKeys(item, end) > 0) break;
      if (suits(item)) return item;
      position.key = { queuePriority: item.queuePriority, queueRank: item.queueRank };
      if (compareKeys(position.key, this.passedKey) > 0) this.passedKey = position.key;
    }
    return undefined;
  }

  private positionOf(annotatorId: AnnotatorId): Position {
    let position = this.positions.get(annotatorId);
    if (!position) {
      position = { key: LOWEST_KEY, arrival: this.arrivalNo, deepKey: LOWEST_KEY };
      this.positions.set(annotatorId, position);
    }
    return position;
  }

  private stamp(item: T): void {
    item.arrival = ++this.arrivalNo;
    this.arrivals.push({ no: item.arrival, item });
    if (this.arrivals.length > 64 + 2 * this.window.length) {
      this.arrivals = this.arrivals.filter((a) => a.item.inLane && a.item.arrival === a.no);
    }
  }

  private firstArrivalAfter(no: number): number {
    let low = 0;
    let high = this.arrivals.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const arrival = this.arrivals[middle];
      if (arrival && arrival.no <= no) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The index of the first task at or after this key. */
  private indexOf(key: QueueKey): number {
    return this.search((item) => compareKeys(item, key) < 0);
  }

  private indexOfItem(item: T): number {
    const index = this.indexOf(item);
    if (this.window[index] !== item) throw new Error('a lane lost the order of its window');
    return index;
  }

  private indexAfter(key: QueueKey): number {
    return this.search((item) => compareKeys(item, key) <= 0);
  }

  private search(isBefore: (item: T) => boolean): number {
    let low = 0;
    let high = this.window.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const item = this.window[middle];
      if (item && isBefore(item)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
