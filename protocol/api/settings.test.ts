import { expect, expectTypeOf, test } from 'vitest';
import { DEFAULT_SETTINGS, type ProjectSettings } from '../../engine/settings.ts';
import {
  mergeSettings,
  projectSettings,
  projectSettingsChange,
  SETTINGS_DEFAULTS,
  type WireProjectSettings,
} from './settings.ts';

test('the wire and the engine have the same settings with the same defaults', () => {
  expectTypeOf<WireProjectSettings>().toExtend<ProjectSettings>();
  expectTypeOf<keyof WireProjectSettings>().toEqualTypeOf<keyof ProjectSettings>();
  expect(SETTINGS_DEFAULTS).toEqual(DEFAULT_SETTINGS);
  expect(projectSettings.parse(SETTINGS_DEFAULTS)).toEqual(DEFAULT_SETTINGS);
});

test('an unknown setting is refused by its name', () => {
  const reading = projectSettingsChange.safeParse({ overlp: 2 });
  expect(reading.error?.issues[0]).toMatchObject({ code: 'unrecognized_keys', keys: ['overlp'] });
});

test.each([
  ['overlap', 0],
  ['overlap', 101],
  ['overlap', 1.5],
  ['heartbeatMs', 199],
  ['heartbeatMs', 3_600_001],
  ['reconnectGraceMs', -1],
  ['maxDurationMs', 604_800_001],
  ['offerMs', 600_001],
  ['maxAttempts', 0],
  ['weight', 0],
  ['shards', 0],
  ['shards', 65],
  ['shards', 2.5],
  ['strategy', 'best'],
  ['lateSubmit', null],
  ['requirements', [{ skill: 'fr', op: '~', value: 3 }]],
  ['requirements', [{ all: [] }]],
  ['resultSchema', 'object'],
])('%s: %j is outside its limits', (key, value) => {
  const reading = projectSettingsChange.safeParse({ [key]: value });
  expect(reading.success).toBe(false);
  expect(reading.error?.issues[0]?.path[0]).toBe(key);
});

test('requirements nest, up to a depth and a number', () => {
  const nested = (depth: number): unknown =>
    depth === 0 ? { skill: 'fr', op: '>=', value: 50 } : { all: [nested(depth - 1)] };
  expect(projectSettingsChange.safeParse({ requirements: [nested(7)] }).success).toBe(true);
  expect(projectSettingsChange.safeParse({ requirements: [nested(8)] }).success).toBe(false);
});

test('a time that nobody chose gives way to a shorter maximum duration', () => {
  const merge = mergeSettings(SETTINGS_DEFAULTS, { maxDurationMs: 1_000 });
  expect(merge).toMatchObject({ ok: true, settings: { heartbeatMs: 1_000, reconnectGraceMs: 1_000 } });
});

test('a chosen time that is longer than the maximum duration is a contradiction, with its path', () => {
  expect(
    mergeSettings(SETTINGS_DEFAULTS, { maxDurationMs: 1_000, heartbeatMs: 2_000, offerMs: 3_000 }),
  ).toEqual({
    ok: false,
    errors: [
      { path: 'settings.heartbeatMs', message: 'must not be longer than maxDurationMs (1000)' },
      { path: 'settings.offerMs', message: 'must not be longer than maxDurationMs (1000)' },
    ],
  });
  const chosenBefore = mergeSettings(
    { ...SETTINGS_DEFAULTS, heartbeatMs: 60_000 },
    { maxDurationMs: 50_000 },
  );
  expect(chosenBefore.ok).toBe(false);
});

test('a change names some settings and keeps the rest', () => {
  const merge = mergeSettings(
    { ...SETTINGS_DEFAULTS, overlap: 3 },
    { strategy: 'random', overlap: undefined },
  );
  expect(merge).toMatchObject({ ok: true, settings: { overlap: 3, strategy: 'random' } });
});
