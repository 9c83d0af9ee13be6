import type { WaitingReasons } from '../door.ts';
import { holds, taskBar } from '../eligibility.ts';
import type { Member } from '../roster.ts';
import type { Term } from './term.ts';

export const NO_REASONS: WaitingReasons = {
  leased: 0,
  alreadyDone: 0,
  skill: 0,
  held: 0,
  pausedProjects: 0,
  unavailableProjects: 0,
  nextExpiryMs: null,
};

/**
 * Why this annotator gets nothing from this shard now. Counts come from counters and from the tasks in memory,
 * never from a walk over the project: `skill` counts within the windows.
 */
export function waitingReasons(term: Term, member: Member): WaitingReasons {
  const { project, counters, queue } = term;
  if (project.status !== 'active') return { ...NO_REASONS, pausedProjects: 1 };
  const ready = Math.max(0, counters.waiting - queue.occupied);
  const barred = !project.settings.requirements.every((r) => holds(r, member.row.skills));
  let skill = barred ? ready : 0;
  if (!barred) for (const task of queue.inMemory()) if (taskBar(member.row, task) === 'skill') skill += 1;
  return {
    leased: queue.occupied,
    alreadyDone: Math.max(0, ready - skill),
    skill,
    held: counters.held,
    pausedProjects: 0,
    unavailableProjects: 0,
    nextExpiryMs: nextExpiryMs(term),
  };
}

export function nextExpiryMs(term: Term): number | null {
  const next = term.deadlines.peek();
  return next ? Math.max(0, Math.round(next.dueMs - term.context.clock.nowMs())) : null;
}

/** The answer over several projects. */
export function addReasons(a: WaitingReasons, b: WaitingReasons): WaitingReasons {
  const expiries = [a.nextExpiryMs, b.nextExpiryMs].filter((ms) => ms !== null);
  return {
    leased: a.leased + b.leased,
    alreadyDone: a.alreadyDone + b.alreadyDone,
    skill: a.skill + b.skill,
    held: a.held + b.held,
    pausedProjects: a.pausedProjects + b.pausedProjects,
    unavailableProjects: a.unavailableProjects + b.unavailableProjects,
    nextExpiryMs: expiries.length === 0 ? null : Math.min(...expiries),
  };
}
