import { expect, test } from 'vitest';
import { holds, isRequirement, projectBar, taskBar } from './eligibility.ts';
import { type AnnotatorId, asId, type ProjectId, type ShardId } from './ids.ts';
import { DEFAULT_SETTINGS, type ProjectSettings, type Requirement } from './settings.ts';
import type { AnnotatorRow, ProjectRow } from './store/store.ts';

const me = asId<AnnotatorId>(1);
const here = asId<ProjectId>(7);

function annotator(more: Partial<AnnotatorRow> = {}): AnnotatorRow {
  return { id: me, status: 'active', capacity: 1, skills: { french: 50 }, memberOf: [], ...more };
}

function project(settings: Partial<ProjectSettings> = {}): ProjectRow {
  const shardIds = [asId<ShardId>(1)];
  return { id: here, slug: 'p', status: 'active', shardIds, settings: { ...DEFAULT_SETTINGS, ...settings } };
}

test.each([
  ['>=', 50, true],
  ['>=', 51, false],
  ['>', 49, true],
  ['>', 50, false],
  ['<=', 50, true],
  ['<=', 49, false],
  ['<', 51, true],
  ['<', 50, false],
  ['=', 50, true],
  ['=', 49, false],
  ['!=', 49, true],
  ['!=', 50, false],
] as const)('a skill of 50 %s %d: %s', (op, value, expected) => {
  expect(holds({ skill: 'french', op, value }, { french: 50 })).toBe(expected);
});

test('a skill that was never set fails every comparison, and a name of an object property is no skill', () => {
  for (const op of ['>=', '>', '<=', '<', '=', '!='] as const) {
    expect(holds({ skill: 'french', op, value: 0 }, {})).toBe(false);
    expect(holds({ skill: 'constructor', op, value: 0 }, {})).toBe(false);
  }
});

test('all and any nest; an empty all holds and an empty any does not', () => {
  const yes: Requirement = { skill: 'a', op: '=', value: 1 };
  const no: Requirement = { skill: 'a', op: '=', value: 2 };
  const check = (requirement: Requirement) => holds(requirement, { a: 1 });
  expect(check({ all: [] })).toBe(true);
  expect(check({ any: [] })).toBe(false);
  expect(check({ all: [yes, { any: [no, yes] }] })).toBe(true);
  expect(check({ any: [no, { all: [yes, no] }] })).toBe(false);
});

test('a project bars by ban, pause, membership and requirements, in this order', () => {
  const strict = project({ access: 'members', requirements: [{ skill: 'latin', op: '>', value: 0 }] });
  expect(projectBar(annotator({ status: 'banned' }), strict)).toBe('annotator_banned');
  expect(projectBar(annotator({ status: 'paused' }), strict)).toBe('annotator_paused');
  expect(projectBar(annotator(), strict)).toBe('not_member');
  expect(projectBar(annotator({ memberOf: [here] }), strict)).toBe('skill');
  expect(projectBar(annotator({ memberOf: [here], skills: { latin: 1 } }), strict)).toBeUndefined();
  expect(projectBar(annotator(), project())).toBeUndefined();
});

test('a task bars those who had it and those without the skill', () => {
  const requirements: Requirement[] = [{ skill: 'french', op: '>=', value: 60 }];
  expect(taskBar(annotator(), { had: [me], requirements })).toBe('already_had');
  expect(taskBar(annotator(), { had: [], requirements })).toBe('skill');
  expect(taskBar(annotator({ skills: { french: 60 } }), { had: [], requirements })).toBeUndefined();
  expect(taskBar(annotator(), { had: [], requirements: null })).toBeUndefined();
});

test('what is no condition is known as such', () => {
  expect(isRequirement({ any: [{ skill: 'a', op: '=', value: 1 }] })).toBe(true);
  for (const wrong of [null, 5, 'x', {}, { all: 5 }, { any: [null] }, { skill: 'a' }])
    expect(isRequirement(wrong)).toBe(false);
});
