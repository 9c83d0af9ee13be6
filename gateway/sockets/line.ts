import type { Lobby } from './lobby.ts';

/** Someone in front of the door. */
export interface Arrival {
  /** Limits are per address. */
  readonly address: string;
  /** Where they are counted while they are let in. */
  readonly connection: object;
  /** They did not wait. */
  readonly isGone: () => boolean;
  readonly letIn: () => void;
  /** There is no room even to wait: they are told when to come back. */
  readonly turnAway: (retryAfterMs: number) => void;
  /** This process stops. */
  readonly drop: () => void;
}

interface Waiting extends Arrival {
  readonly sinceMs: number;
}

export interface LineLimits {
  readonly max: number;
  readonly maxPerAddress: number;
  /** Let in, or turned away, in one turn of the event loop: others are served in between. */
  readonly perTurn: number;
  /** Nobody waits longer than this, in ms. */
  readonly waitMsMax: number;
  /** What letting one in takes on average, in ms, while nothing has been measured. */
  readonly expectedMs: number;
}

/**
 * The line in front of the lobby. When a gateway dies, thousands come to another one within a second. To wait costs
 * nothing; to be refused and to come again costs half of what being let in does. So they wait here, before anything is done for
 * them, and are let in as the lobby has room, in the order in which they came, each address in turn.
 *
 * L1. Nobody is dropped without a word: let in, or told when to come back, at `waitMsMax` at the latest.
 * L2. Who is turned away comes back when those who wait now have been served, spread over as long again.
 */
export class Line {
  /** Never empty queues; the address whose turn it is comes first. */
  readonly #queues = new Map<string, Waiting[]>();
  readonly #leaving: Arrival[] = [];
  readonly #lobby: Lobby;
  readonly #limits: LineLimits;
  readonly #nowMs: () => number;
  readonly #random: () => number;
  readonly #defer: (run: () => void) => void;
  #size = 0;
  #isDue = false;
  /** Since when there is a line, and how many came out of it since. */
  #sinceMs = 0;
  #served = 0;

  constructor(args: {
    lobby: Lobby;
    limits: LineLimits;
    nowMs: () => number;
    random: () => number;
    /** Runs its argument in a later turn of the event loop. */
    defer: (run: () => void) => void;
  }) {
    this.#lobby = args.lobby;
    this.#limits = args.limits;
    this.#nowMs = args.nowMs;
    this.#random = args.random;
    this.#defer = args.defer;
  }

  get size(): number {
    return this.#size;
  }

  join(arrival: Arrival): void {
    const { max, maxPerAddress } = this.#limits;
    const queue = this.#queues.get(arrival.address) ?? [];
    if (this.#size >= max || queue.length >= maxPerAddress) {
      this.#leaving.push(arrival);
      this.advance();
      return;
    }
    if (this.#size === 0) {
      this.#sinceMs = this.#nowMs();
      this.#served = 0;
    }
    queue.push({ ...arrival, sinceMs: this.#nowMs() });
    this.#queues.set(arrival.address, queue);
    this.#size += 1;
    this.advance();
  }

  /** Somebody has left the lobby, or time has passed. */
  advance(): void {
    if (this.#isDue || (this.#size === 0 && this.#leaving.length === 0)) return;
    this.#isDue = true;
    this.#defer(() => {
      this.#isDue = false;
      const waits = this.#serve();
      for (const arrival of this.#leaving.splice(0, this.#limits.perTurn)) this.#turnAway(arrival);
      if (waits || this.#leaving.length > 0) this.advance();
    });
  }

  /** Those who have waited too long: the lobby is full of others who do not get on. */
  expire(): void {
    const oldestMs = this.#nowMs() - this.#limits.waitMsMax;
    for (const [address, queue] of this.#queues) {
      const late = queue.findIndex((waiting) => waiting.sinceMs > oldestMs);
      const expired = queue.splice(0, late === -1 ? queue.length : late);
      this.#size -= expired.length;
      this.#leaving.push(...expired);
      if (queue.length === 0) this.#queues.delete(address);
    }
    this.advance();
  }

  /** This process stops: whoever waits is to try elsewhere. */
  close(): void {
    const all = [...this.#leaving.splice(0), ...[...this.#queues.values()].flat()];
    this.#queues.clear();
    this.#size = 0;
    for (const arrival of all) arrival.drop();
  }

  /** @returns whether there is somebody left for whom the lobby has room. */
  #serve(): boolean {
    let left = this.#limits.perTurn;
    // Each address once around, as long as one of them gets on.
    for (let got = true; got && left > 0; ) {
      got = false;
      for (const address of [...this.#queues.keys()]) {
        if (left === 0 || this.#lobby.isFull) break;
        if (!this.#lobby.hasRoomFor(address)) continue;
        got = true;
        left -= this.#letOneIn(address) ? 1 : 0;
      }
    }
    return !this.#lobby.isFull && [...this.#queues.keys()].some((address) => this.#lobby.hasRoomFor(address));
  }

  #letOneIn(address: string): boolean {
    const queue = this.#queues.get(address) ?? [];
    const arrival = queue.shift();
    this.#queues.delete(address);
    // Behind the others.
    if (queue.length > 0) this.#queues.set(address, queue);
    if (arrival === undefined) return false;
    this.#size -= 1;
    this.#served += 1;
    if (arrival.isGone()) return false;
    this.#lobby.enter(arrival.connection, address);
    arrival.letIn();
    return true;
  }

  #turnAway(arrival: Arrival): void {
    if (arrival.isGone()) return;
    const { expectedMs, waitMsMax, perTurn } = this.#limits;
    // What is expected counts as much as some of what is measured.
    const measuredMs = this.#size === 0 ? 0 : this.#nowMs() - this.#sinceMs;
    const eachMs = (measuredMs + perTurn * expectedMs) / (this.#served + perTurn);
    const drainMs = Math.min(waitMsMax / 2, (this.#size + 1) * eachMs);
    arrival.turnAway(Math.max(1, Math.round(drainMs * (1 + this.#random()))));
  }
}
