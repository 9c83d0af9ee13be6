/** Something with a moment to look at it again. `heapIndex` belongs to the heap; -1 when it is in none. */
export interface Timed {
  dueMs: number;
  heapIndex: number;
}

/**
 * An indexed binary heap by due time: the next one in O(1), adding, moving and removing in O(log n). Removal
 * matters: most leases end long before their deadline, and what stayed behind would outweigh what is alive.
 */
export class Deadlines<T extends Timed> {
  private readonly heap: T[] = [];

  get size(): number {
    return this.heap.length;
  }

  peek(): T | undefined {
    return this.heap[0];
  }

  /** Adds the item, or moves it to its new due time. */
  set(item: T, dueMs: number): void {
    item.dueMs = dueMs;
    if (item.heapIndex < 0) {
      item.heapIndex = this.heap.length;
      this.heap.push(item);
    }
    this.down(this.up(item.heapIndex));
  }

  remove(item: T): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.heap.pop();
    if (last === undefined || last === item) return;
    this.place(last, index);
    this.down(this.up(index));
  }

  private up(start: number): number {
    let index = start;
    const item = this.heap[index];
    while (item && index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.heap[parentIndex];
      if (!parent || parent.dueMs <= item.dueMs) break;
      this.place(parent, index);
      this.place(item, parentIndex);
      index = parentIndex;
    }
    return index;
  }

  private down(start: number): void {
    let index = start;
    const item = this.heap[index];
    while (item) {
      let childIndex = 2 * index + 1;
      let child = this.heap[childIndex];
      const right = this.heap[childIndex + 1];
      if (child && right && right.dueMs < child.dueMs) {
        child = right;
        childIndex += 1;
      }
      if (!child || child.dueMs >= item.dueMs) return;
      this.place(child, index);
      this.place(item, childIndex);
      index = childIndex;
    }
  }

  private place(item: T, index: number): void {
    this.heap[index] = item;
    item.heapIndex = index;
  }
}
