import type { Clock, Timer } from '../clock.ts';
import type { Incarnation } from '../ids.ts';
import type { NodeRole, Store } from '../store/store.ts';

/** A node that was silent for this long, by the database's clock, is dead and its shards may be taken. */
export const TERM_MS = 3_000;
const RENEW_EVERY_MS = 1_000;
/** A node stops trusting itself this long before others may take over: more than the clocks can drift in a term. */
const MARGIN_MS = 500;

/**
 * This node's own liveness: one row, renewed about once a second.
 *
 * N1 The authority is the database. What we hold is trust, counted on our own monotonic clock from the moment the
 *    renewal was *sent*, so it always runs out before the row looks dead to others.
 * N2 Without trust nothing is granted. A commit is refused by the fence in any case; N2 only keeps us from
 *    promising what the fence would take back.
 * N3 A node that was declared dead never comes back as itself: it joins again as a new incarnation, and everything
 *    it held in memory is dropped.
 */
export class NodeLease {
  /** The longest gap between a renewal's due time and its start: how long the event loop stood still, in ms. */
  eventLoopLagMs = 0;
  private current: Incarnation | undefined;
  private trustedUntilMs = Number.NEGATIVE_INFINITY;
  private timer: Timer | undefined;
  private stopped = false;
  private renewing: Promise<void> | undefined;
  private readonly args: {
    readonly store: Store;
    readonly clock: Clock;
    readonly name: string;
    readonly version: string;
    readonly address: string;
    readonly roles: readonly NodeRole[];
    /** Everything the last incarnation held must be forgotten now. */
    readonly onLost: () => void;
    /** Trust ran out and is back: what came free meanwhile was given to nobody. */
    readonly onTrusted: () => void;
    readonly onError: (error: unknown) => void;
  };

  constructor(args: NodeLease['args']) {
    this.args = args;
  }

  get joined(): Incarnation | undefined {
    return this.current;
  }

  /** @throws when the node has not joined. */
  incarnation(): Incarnation {
    if (this.current === undefined) throw new Error('the node has not joined');
    return this.current;
  }

  mayGrant(): boolean {
    return this.args.clock.nowMs() < this.trustedUntilMs;
  }

  /** @throws when the database is away. */
  async start(): Promise<void> {
    await this.join();
    this.schedule();
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    this.timer?.cancel();
    await this.renewing;
    this.trustedUntilMs = Number.NEGATIVE_INFINITY;
    if (this.current !== undefined) await this.args.store.leaveNode(this.current);
  }

  private schedule(): void {
    if (this.stopped) return;
    const dueMs = this.args.clock.nowMs() + RENEW_EVERY_MS;
    this.timer = this.args.clock.setTimer(RENEW_EVERY_MS, () => {
      this.eventLoopLagMs = Math.max(0, this.args.clock.nowMs() - dueMs);
      this.renewing = this.renew().finally(() => this.schedule());
    });
  }

  private async renew(): Promise<void> {
    const sentMs = this.args.clock.nowMs();
    const lapsedMs = this.trustedUntilMs;
    try {
      if (await this.args.store.renewNode(this.incarnation(), TERM_MS)) {
        this.trustedUntilMs = sentMs + TERM_MS - MARGIN_MS;
        if (lapsedMs <= this.args.clock.nowMs()) this.args.onTrusted();
        return;
      }
      this.trustedUntilMs = Number.NEGATIVE_INFINITY;
      this.args.onLost();
      await this.join();
    } catch (error) {
      this.args.onError(error);
    }
  }

  private async join(): Promise<void> {
    const sentMs = this.args.clock.nowMs();
    const { name, version, address, roles } = this.args;
    this.current = await this.args.store.joinNode({ name, version, address, roles });
    this.trustedUntilMs = sentMs + TERM_MS - MARGIN_MS;
  }
}
