import type { AnnotatorId } from './ids.ts';
import type { Requirement } from './settings.ts';
import type { AnnotatorRow, ProjectRow } from './store/store.ts';

/** What decides about one task; a task in memory and a row on disk both have it. */
export interface Candidate {
  readonly had: readonly AnnotatorId[];
  readonly requirements: readonly Requirement[] | null;
}

export type Ineligible = 'already_had' | 'skill' | 'not_member' | 'annotator_paused' | 'annotator_banned';

/** @returns why this annotator gets nothing at all from this project, or undefined. */
export function projectBar(annotator: AnnotatorRow, project: ProjectRow): Ineligible | undefined {
  if (annotator.status === 'banned') return 'annotator_banned';
  if (annotator.status === 'paused') return 'annotator_paused';
  if (project.settings.access === 'members' && !annotator.memberOf.includes(project.id)) return 'not_member';
  if (!project.settings.requirements.every((r) => holds(r, annotator.skills))) return 'skill';
  return undefined;
}

/** @returns why this annotator may not get this task, or undefined: the one rule of request, push and give-to. */
export function taskBar(annotator: AnnotatorRow, task: Candidate): Ineligible | undefined {
  if (task.had.includes(annotator.id)) return 'already_had';
  if (task.requirements && !task.requirements.every((r) => holds(r, annotator.skills))) return 'skill';
  return undefined;
}

/** Whether what lies on disk can be asked at all: a condition that throws would stop whoever comes to its task. */
export function isRequirement(value: unknown): value is Requirement {
  if (typeof value !== 'object' || value === null) return false;
  if ('all' in value) return Array.isArray(value.all) && value.all.every(isRequirement);
  if ('any' in value) return Array.isArray(value.any) && value.any.every(isRequirement);
  return 'skill' in value && 'op' in value && 'value' in value;
}

/** A skill that was never set fails every comparison, `!=` too: absence is not a value. */
export function holds(requirement: Requirement, skills: Readonly<Record<string, number>>): boolean {
  if ('all' in requirement) return requirement.all.every((r) => holds(r, skills));
  if ('any' in requirement) return requirement.any.some((r) => holds(r, skills));
  const value = Object.hasOwn(skills, requirement.skill) ? skills[requirement.skill] : undefined;
  if (value === undefined) return false;
  switch (requirement.op) {
    case '>=':
      return value >= requirement.value;
    case '>':
      return value > requirement.value;
    case '<=':
      return value <= requirement.value;
    case '<':
      return value < requirement.value;
    case '=':
      return value === requirement.value;
    case '!=':
      return value !== requirement.value;
  }
}
