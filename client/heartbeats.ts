import { WIRE_LIMITS } from '../protocol/limits.ts';
import type { Leases } from './leases.ts';
import type { Link } from './link.ts';
import type { Surroundings } from './surroundings.ts';

/** Never more often than this, however little is left of a lease. */
const INTERVAL_MS_MIN = 1_000;

/** Keeps the held leases alive: one timer and one message for all of them. */
export class Heartbeats {
  readonly #link: Link;
  readonly #leases: Leases;
  readonly #surroundings: Surroundings;
  readonly #patienceMs: number;
  readonly #onEnded: (assignmentId: string) => void;
  #cancel: (() => void) | undefined;
  #isBeating = false;
  #lastBeatAtMs = Number.NEGATIVE_INFINITY;

  constructor(args: {
    link: Link;
    leases: Leases;
    surroundings: Surroundings;
    patienceMs: number;
    onEnded: (assignmentId: string) => void;
  }) {
    this.#link = args.link;
    this.#leases = args.leases;
    this.#surroundings = args.surroundings;
    this.#patienceMs = args.patienceMs;
    this.#onEnded = args.onEnded;
  }

  /** Sets the timer for what is held now. Call whenever that, or the connection, has changed. */
  rearm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const beat = this.#leases.beat();
    if (beat === undefined || this.#isBeating || this.#link.status !== 'live') return;
    const dueAtMs = Math.max(beat.dueAtMs, this.#lastBeatAtMs + INTERVAL_MS_MIN);
    this.#cancel = this.#surroundings.setTimer(Math.max(0, dueAtMs - this.#surroundings.nowMs()), () =>
      this.#beat(),
    );
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #beat(): void {
    const ids = this.#leases.beat()?.ids.slice(0, WIRE_LIMITS.heartbeatAssignmentsMax);
    if (ids === undefined) return;
    this.#isBeating = true;
    this.#lastBeatAtMs = this.#surroundings.nowMs();
    void this.#link
      .call('work:heartbeat', { assignmentIds: ids }, { patienceMs: this.#patienceMs })
      .then(
        ({ alive, ended }) => {
          for (const { assignmentId, expiresInMs } of alive) this.#leases.renewed(assignmentId, expiresInMs);
          for (const assignmentId of ended) this.#onEnded(assignmentId);
        },
        // The next beat is the remedy; an error that matters ends the link or comes back with the next message.
        () => undefined,
      )
      .finally(() => {
        this.#isBeating = false;
        this.rearm();
      });
  }
}
