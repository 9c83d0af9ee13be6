import type { WireAssignment } from '../protocol/wire/index.ts';

interface Lease {
  assignment: WireAssignment;
  /** Monotonic milliseconds: when the lease ends unless it is renewed. */
  expiresAtMs: number;
  renewAtMs: number;
  /** The application was given it. */
  isDelivered: boolean;
  /** A submit, skip or release of it is under way. */
  isSettling: boolean;
}

/** Renewed when a third of the lease is over: two beats may be lost. */
const RENEWALS_PER_LEASE = 3;

/** The leases this client knows it holds. */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get(id: string): WireAssignment | undefined {
    const lease = this.#leases.get(id);
    return lease === undefined ? undefined : { ...lease.assignment, expiresInMs: this.#leftMs(lease) };
  }

  all(): WireAssignment[] {
    return [...this.#leases.values()].map((lease) => ({
      ...lease.assignment,
      expiresInMs: this.#leftMs(lease),
    }));
  }

  put(assignment: WireAssignment): void {
    const known = this.#leases.get(assignment.id);
    const lease: Lease = {
      assignment,
      expiresAtMs: 0,
      renewAtMs: 0,
      isDelivered: known?.isDelivered ?? false,
      isSettling: known?.isSettling ?? false,
    };
    this.#leases.set(assignment.id, lease);
    this.#renew(lease, assignment.expiresInMs);
  }

  renewed(id: string, expiresInMs: number): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) this.#renew(lease, expiresInMs);
  }

  accepted(id: string, expiresInMs: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.assignment = { ...lease.assignment, state: 'active' };
    this.#renew(lease, expiresInMs);
  }

  drafted(id: string, draft: WireAssignment['draft']): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.assignment = { ...lease.assignment, draft };
  }

  /** @returns whether it was there. */
  remove(id: string): boolean {
    return this.#leases.delete(id);
  }

  settling(id: string, isSettling: boolean): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.isSettling = isSettling;
  }

  isSettling(id: string): boolean {
    return this.#leases.get(id)?.isSettling ?? false;
  }

  /** Takes the server's whole list. @returns the leases that ended unheard, except those being settled from here. */
  replace(assignments: readonly WireAssignment[]): string[] {
    const open = new Set(assignments.map(({ id }) => id));
    const ended: string[] = [];
    for (const [id, lease] of [...this.#leases]) {
      if (open.has(id) || lease.isSettling) continue;
      this.#leases.delete(id);
      ended.push(id);
    }
    for (const assignment of assignments) this.put(assignment);
    // Coming back is itself a sign of life that the server should have at once.
    for (const lease of this.#leases.values()) lease.renewAtMs = this.#nowMs();
    return ended;
  }

  /** Marks one as given to the application, or as not given after all. */
  delivered(id: string, isDelivered = true): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.isDelivered = isDelivered;
  }

  undelivered(): WireAssignment[] {
    return [...this.#leases.values()]
      .filter((lease) => !lease.isDelivered)
      .map(({ assignment }) => assignment);
  }

  /** The leases that heartbeats are for, and when the next is due; undefined when there is none. */
  beat(): { ids: string[]; dueAtMs: number } | undefined {
    const active = [...this.#leases.values()].filter(({ assignment }) => assignment.state === 'active');
    if (active.length === 0) return undefined;
    return {
      ids: active.map(({ assignment }) => assignment.id),
      dueAtMs: Math.min(...active.map(({ renewAtMs }) => renewAtMs)),
    };
  }

  #renew(lease: Lease, expiresInMs: number): void {
    const nowMs = this.#nowMs();
    lease.expiresAtMs = nowMs + expiresInMs;
    lease.renewAtMs = nowMs + expiresInMs / RENEWALS_PER_LEASE;
  }

  #leftMs(lease: Lease): number {
    return Math.max(0, Math.round(lease.expiresAtMs - this.#nowMs()));
  }
}
