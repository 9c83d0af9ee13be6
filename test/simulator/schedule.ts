/** Something that happens at a moment of virtual time. */
interface Event {
  readonly atMs: number;
  readonly no: number;
  readonly run: () => void;
}

/**
 * Virtual time for everything in one run: events happen one after the other, in the order of their moments, and those of
 * one moment in the order in which they were planned. Between two events every promise that can settle does.
 */
export class Schedule {
  nowMs = 0;
  steps = 0;
  private no = 0;
  private readonly heap: Event[] = [];

  /** @returns stops it. */
  at(delayMs: number, run: () => void): () => void {
    let isOn = true;
    const event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      no: ++this.no,
      run: () => {
        if (isOn) run();
      },
    };
    this.push(event);
    return () => {
      isOn = false;
    };
  }

  /** @returns when this much time has passed. */
  pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.at(delayMs, resolve));
  }

  /** One event. @returns false when there is none up to this moment; time is there then. */
  async step(untilMs: number): Promise<boolean> {
    const event = this.heap[0];
    if (!event || event.atMs > untilMs) {
      this.nowMs = untilMs;
      return false;
    }
    this.pop();
    this.nowMs = event.atMs;
    this.steps += 1;
    event.run();
    await new Promise<void>((resolve) => setImmediate(resolve));
    return true;
  }

  private push(event: Event): void {
    const { heap } = this;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || !isBefore(event, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (!left) break;
      if (right && isBefore(right, left)) child += 1;
      const below = heap[child];
      if (!below || !isBefore(below, last)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs === b.atMs ? a.no < b.no : a.atMs < b.atMs;
}
