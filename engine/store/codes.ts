/**
 * The small numbers that state columns hold. Codes are never reused or renumbered: rows outlive releases. The
 * partial indexes of the first migration rely on their order (counted assignment states come first).
 */
export const TASK_STATE_CODES = {
  waiting: 1,
  adjudicating: 2,
  reviewing: 3,
  held: 4,
  complete: 5,
  cancelled: 6,
} as const;

export const ASSIGNMENT_STATE_CODES = {
  offered: 1,
  active: 2,
  submitted: 3,
  accepted: 4,
  rejected: 5,
  expired: 6,
  abandoned: 7,
  skipped: 8,
  released: 9,
  revoked: 10,
  surplus: 11,
} as const;

export const HOLD_CONDITION_CODES = { attempts_used_up: 1, supervisor: 2, quarantined: 3 } as const;

/** What a transition records. Project-level ones carry no task. */
export const TRANSITION_CODES = {
  assigned: 1,
  accepted: 2,
  submitted: 3,
  expired: 4,
  abandoned: 5,
  skipped: 6,
  released: 7,
  revoked: 8,
  surplus: 9,
  task_cancelled: 20,
  task_requeued: 21,
  task_priority: 22,
  task_overlap: 23,
  task_quarantined: 24,
  imported: 40,
  project_settings: 41,
  project_paused: 42,
  project_resumed: 43,
  project_archived: 44,
  tasks_moved: 45,
  tasks_received: 46,
} as const;

export const PROJECT_STATUS_CODES = { active: 1, paused: 2, archived: 3 } as const;
export const ANNOTATOR_STATUS_CODES = { active: 1, paused: 2, banned: 3 } as const;

export type TransitionName = keyof typeof TRANSITION_CODES;

/** The name of a stored code. @throws RangeError for a code of a later release: the reader must not guess. */
export function nameOf<Codes extends Record<string, number>>(codes: Codes, code: number): keyof Codes {
  const name = knownNameOf(codes, code);
  if (name === undefined) throw new RangeError(`unknown code ${code}`);
  return name;
}

/** The name of a stored code, or undefined for a code of a later release. */
export function knownNameOf<Codes extends Record<string, number>>(
  codes: Codes,
  code: number,
): keyof Codes | undefined {
  for (const name of Object.keys(codes)) if (codes[name] === code) return name;
  return undefined;
}
