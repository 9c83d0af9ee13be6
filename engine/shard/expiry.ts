import type { EndReason } from '../door.ts';
import { endLease } from './end-lease.ts';
import { nextLookMs, warningMs } from './grant.ts';
import { type Lease, leaseEndsMs } from './lease.ts';
import type { TaskEntry } from './task-entry.ts';
import type { Term } from './term.ts';

/** Leases looked at per turn of the event loop: ten thousand that end together must not stop the node. */
const LOOKS_PER_TURN_MAX = 500;

/**
 * Looks at every lease whose moment has come. The moment is only a reason to look: a lease that was extended or
 * has ended since is left alone (a stale timer is inert).
 *
 * @returns the tasks that got a slot back.
 */
export function lookAtDueLeases(term: Term): TaskEntry[] {
  const freed: TaskEntry[] = [];
  const nowMs = term.context.clock.nowMs();
  for (let looks = 0; looks < LOOKS_PER_TURN_MAX; looks++) {
    const lease = term.deadlines.peek();
    if (!lease || lease.dueMs > nowMs) break;
    if (leaseEndsMs(lease) > nowMs && !term.context.without.has('stale_timer')) {
      goOn(term, lease, nowMs);
    } else {
      expire(term, lease, nowMs);
      freed.push(lease.task);
    }
  }
  term.arm();
  return freed;
}

function goOn(term: Term, lease: Lease, nowMs: number): void {
  if (!lease.warned && lease.endsMs - warningMs(term) <= nowMs) {
    lease.warned = true;
    const ref = { projectId: term.projectId, id: lease.id };
    term.context.push(lease.annotatorId, {
      kind: 'expiring',
      ref,
      expiresInMs: Math.round(lease.endsMs - nowMs),
    });
  } else {
    // The beats since the last look moved the deadline in memory; the row follows now and then, like this.
    term.write().updateAssignment(lease.id, { state: lease.state, deadlineInMs: leaseEndsMs(lease) - nowMs });
  }
  term.schedule(lease, nextLookMs(term, lease));
}

function expire(term: Term, lease: Lease, nowMs: number): void {
  if (lease.state === 'offered' && lease.offerEndsMs <= nowMs) {
    // Nobody answered: like an agent who does not pick up, they get nothing pushed until they say they are there.
    const member = term.context.roster.peek(lease.annotatorId);
    if (member) member.paused = true;
  }
  endLease(term, lease, { ...endOf(lease, nowMs), tellHolder: true });
}

/** Which of the three clocks ran out. */
function endOf(lease: Lease, nowMs: number): { event: 'EXPIRE' | 'ABANDON'; reason: EndReason } {
  if (lease.state === 'offered' && lease.offerEndsMs <= nowMs)
    return { event: 'EXPIRE', reason: 'offer_timeout' };
  if (lease.endsMs <= nowMs) return { event: 'EXPIRE', reason: 'max_duration' };
  return { event: 'ABANDON', reason: lease.dropped ? 'disconnected' : 'heartbeat_silence' };
}
