/** Each bucket is this much wider than the one below: a quantile is at most this far off. */
const BUCKET_GROWTH = 1.02;
const MS_MIN = 0.01;

/** Durations, kept as a histogram: memory does not grow with their number. */
export class Latencies {
  readonly #buckets = new Map<number, number>();
  #count = 0;

  /** @param ms a duration in milliseconds */
  add(ms: number): void {
    const bucket = Math.ceil(Math.log(Math.max(ms, MS_MIN) / MS_MIN) / Math.log(BUCKET_GROWTH));
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    this.#count += 1;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns milliseconds that `share` of the durations did not exceed, or null when there are none. */
  quantile(share: number): number | null {
    let rest = Math.max(1, Math.ceil(share * this.#count));
    for (const [bucket, count] of [...this.#buckets].sort(([a], [b]) => a - b)) {
      rest -= count;
      if (rest <= 0) return Math.round(MS_MIN * BUCKET_GROWTH ** bucket * 100) / 100;
    }
    return null;
  }
}

interface LatencySummary {
  readonly count: number;
  /** Milliseconds. */
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface Summary {
  readonly submitted: number;
  /** Answers that came after the lease had ended and counted none the less, or were kept as surplus. */
  readonly late: number;
  readonly surplus: number;
  readonly skipped: number;
  readonly released: number;
  readonly drafts: number;
  /** Leases that ended while the person still meant to work on the task, by reason. */
  readonly lost: Readonly<Record<string, number>>;
  /** Tasks given out that somebody had held before without answering. */
  readonly reassigned: number;
  readonly connects: number;
  readonly requestMs: LatencySummary;
  readonly submitMs: LatencySummary;
  readonly errors: Readonly<Record<string, number>>;
}

/** What all the simulated people did together. */
export class Tally {
  submitted = 0;
  late = 0;
  surplus = 0;
  skipped = 0;
  released = 0;
  drafts = 0;
  reassigned = 0;
  connects = 0;
  readonly requests = new Latencies();
  readonly submits = new Latencies();
  readonly #lost = new Map<string, number>();
  readonly #errors = new Map<string, number>();

  lost(reason: string): void {
    this.#lost.set(reason, (this.#lost.get(reason) ?? 0) + 1);
  }

  error(code: string): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  summary(): Summary {
    return {
      submitted: this.submitted,
      late: this.late,
      surplus: this.surplus,
      skipped: this.skipped,
      released: this.released,
      drafts: this.drafts,
      lost: Object.fromEntries(this.#lost),
      reassigned: this.reassigned,
      connects: this.connects,
      requestMs: summaryOf(this.requests),
      submitMs: summaryOf(this.submits),
      errors: Object.fromEntries(this.#errors),
    };
  }
}

function summaryOf(latencies: Latencies): LatencySummary {
  return { count: latencies.count, p50: latencies.quantile(0.5), p99: latencies.quantile(0.99) };
}
