import { z } from 'zod';
import { API_LIMITS } from './limits.ts';
import { requirements } from './requirement.ts';
import { jsonObject, overlap } from './values.ts';

function between(bounds: { readonly min: number; readonly max: number }) {
  return z.number().int().min(bounds.min).max(bounds.max);
}

/** Every setting of a project, with its limits. Times are in milliseconds. */
export const projectSettings = z
  .strictObject({
    overlap: overlap.meta({ description: 'Counted answers a new task needs; a task may have its own.' }),
    offerMs: between(API_LIMITS.offerMs).meta({
      description: 'How long an offer waits for `work:accept`; 0: no accept is needed.',
    }),
    heartbeatMs: between(API_LIMITS.heartbeatMs).meta({
      description: 'Silence after which a lease is abandoned.',
    }),
    reconnectGraceMs: between(API_LIMITS.reconnectGraceMs).meta({
      description: "How long a lease outlives its holder's last connection.",
    }),
    maxDurationMs: between(API_LIMITS.maxDurationMs).meta({ description: 'The longest a lease can last.' }),
    maxAttempts: z.number().int().min(1).max(API_LIMITS.maxAttemptsMax).meta({
      description: 'Leases that may end without an answer before the task is held.',
    }),
    lateSubmit: z.enum(['accept', 'surplus', 'refuse']).meta({
      description:
        'A submit after the lease ended: accepted if the slot is free, kept as surplus, or refused.',
    }),
    strategy: z.enum(['sequential', 'random', 'priority']).meta({ description: 'The order of fresh tasks.' }),
    startedFirst: z.boolean().meta({ description: 'Finish tasks that have answers before fresh ones.' }),
    requirements: requirements.meta({ description: 'What an annotator must fulfil. All must hold.' }),
    access: z.enum(['open', 'members']).meta({ description: 'Who may work here.' }),
    projectPriority: z
      .number()
      .int()
      .min(-API_LIMITS.projectPriorityMax)
      .max(API_LIMITS.projectPriorityMax)
      .meta({ description: 'Which project "any of my projects" tries first: higher first.' }),
    weight: z.number().min(API_LIMITS.weight.min).max(API_LIMITS.weight.max).meta({
      description: 'The share among projects of equal priority.',
    }),
    shards: z.number().int().min(1).max(API_LIMITS.shardsMax).meta({
      description:
        'Parts that the tasks are spread over; each is served by one engine. When it is changed, tasks at rest move.',
    }),
    interface: jsonObject(API_LIMITS.settingsJsonBytesMax)
      .nullable()
      .meta({ description: 'What the labeling page shows.' }),
    resultSchema: jsonObject(API_LIMITS.settingsJsonBytesMax)
      .nullable()
      .meta({ description: 'JSON Schema (2020-12) that a result must fit; null: anything.' }),
  })
  .meta({ id: 'ProjectSettings' });

/** Some of the settings: the rest keep their values, or take the defaults in a new project. */
export const projectSettingsChange = projectSettings.partial().meta({ id: 'ProjectSettingsChange' });

export type WireProjectSettings = z.output<typeof projectSettings>;
export type WireProjectSettingsChange = z.output<typeof projectSettingsChange>;

export const SETTINGS_DEFAULTS: WireProjectSettings = {
  overlap: 1,
  offerMs: 0,
  heartbeatMs: 45_000,
  reconnectGraceMs: 15_000,
  maxDurationMs: 1_800_000,
  maxAttempts: 10,
  lateSubmit: 'accept',
  strategy: 'priority',
  startedFirst: true,
  requirements: [],
  access: 'open',
  projectPriority: 0,
  weight: 1,
  shards: 1,
  interface: null,
  resultSchema: null,
};

export type SettingsMerge =
  | { readonly ok: true; readonly settings: WireProjectSettings }
  | { readonly ok: false; readonly errors: readonly { path: string; message: string }[] };

/**
 * Lays a change over the present settings and judges the whole. A time that was never chosen (it still has its
 * default) gives way to a shorter `maxDurationMs`; one that was chosen and is longer is a contradiction.
 */
export function mergeSettings(
  present: WireProjectSettings,
  change: WireProjectSettingsChange,
): SettingsMerge {
  const merged: WireProjectSettings = { ...present, ...withoutUndefined(change) };
  const errors: { path: string; message: string }[] = [];
  for (const key of ['heartbeatMs', 'reconnectGraceMs'] as const) {
    if (merged[key] <= merged.maxDurationMs) continue;
    const wasChosen = change[key] !== undefined || present[key] !== SETTINGS_DEFAULTS[key];
    if (wasChosen) errors.push(longerThanDuration(key, merged.maxDurationMs));
    else merged[key] = Math.min(merged.maxDurationMs, API_LIMITS[key].max);
  }
  if (merged.offerMs > merged.maxDurationMs) errors.push(longerThanDuration('offerMs', merged.maxDurationMs));
  return errors.length === 0 ? { ok: true, settings: merged } : { ok: false, errors };
}

function longerThanDuration(key: string, maxDurationMs: number) {
  return { path: `settings.${key}`, message: `must not be longer than maxDurationMs (${maxDurationMs})` };
}

/** A key that is present with no value would overwrite the setting with nothing. */
function withoutUndefined(change: WireProjectSettingsChange): Partial<WireProjectSettings> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}
