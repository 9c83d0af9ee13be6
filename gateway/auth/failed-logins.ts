interface Failures {
  count: number;
  readonly sinceMs: number;
}

/**
 * Counts wrong tokens per address in windows of time, so that guessing, and the queries it costs, come to an end.
 * Remembers a bounded number of addresses; the oldest are forgotten first.
 */
export class FailedLogins {
  private readonly failures = new Map<string, Failures>();
  private readonly max: number;
  private readonly windowMs: number;
  private readonly addressesMax: number;
  private readonly nowMs: () => number;

  constructor(args: { max: number; windowMs: number; addressesMax: number; nowMs: () => number }) {
    this.max = args.max;
    this.windowMs = args.windowMs;
    this.addressesMax = args.addressesMax;
    this.nowMs = args.nowMs;
  }

  /** @returns milliseconds until this address may try again; 0 now. */
  blockedForMs(address: string): number {
    const entry = this.failures.get(address);
    if (entry === undefined) return 0;
    const leftMs = entry.sinceMs + this.windowMs - this.nowMs();
    if (leftMs <= 0) this.failures.delete(address);
    return leftMs > 0 && entry.count >= this.max ? leftMs : 0;
  }

  add(address: string): void {
    const entry = this.failures.get(address);
    if (entry !== undefined && entry.sinceMs + this.windowMs > this.nowMs()) {
      entry.count++;
      return;
    }
    this.failures.delete(address);
    this.failures.set(address, { count: 1, sinceMs: this.nowMs() });
    for (const oldest of this.failures.keys()) {
      if (this.failures.size <= this.addressesMax) break;
      this.failures.delete(oldest);
    }
  }
}
