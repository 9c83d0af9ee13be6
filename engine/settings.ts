/** A JSON value as it came from a client or the database. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** A condition on an annotator's skills (0-100; a skill never set counts as absent and fails every comparison). */
export type Requirement =
  | { readonly skill: string; readonly op: '>=' | '>' | '<=' | '<' | '=' | '!='; readonly value: number }
  | { readonly all: readonly Requirement[] }
  | { readonly any: readonly Requirement[] };

export type Strategy = 'sequential' | 'random' | 'priority';
export type LateSubmit = 'accept' | 'surplus' | 'refuse';

/** A project's settings, complete: `completeSettings` fills in what a row does not say. All times in milliseconds. */
export interface ProjectSettings {
  /** Counted answers a task needs, 1-100; a task may have its own. */
  readonly overlap: number;
  /** How long an offer waits for `work:accept`; 0: leases need no accept. */
  readonly offerMs: number;
  /** Silence after which a lease is abandoned. */
  readonly heartbeatMs: number;
  /** How long a lease outlives its holder's last socket. */
  readonly reconnectGraceMs: number;
  /** The longest a lease can last, however often it is renewed. */
  readonly maxDurationMs: number;
  /** Leases that may end without an answer before the task is held. */
  readonly maxAttempts: number;
  readonly lateSubmit: LateSubmit;
  /** `priority`: higher priority first, then import order. `sequential`: import order alone. */
  readonly strategy: Strategy;
  /** true: finish tasks that have answers or leases before fresh ones. false: spread over fresh ones first. */
  readonly startedFirst: boolean;
  /** All must hold. */
  readonly requirements: readonly Requirement[];
  readonly access: 'open' | 'members';
  /** Which project "any of my projects" tries first: higher first; equal ones in proportion to weight. */
  readonly projectPriority: number;
  readonly weight: number;
  /** Parts that new tasks are spread over, 1-64: each is owned by one engine, so a project can outgrow one. */
  readonly shards: number;
  /** What the labeling page shows; opaque to the engine. */
  readonly interface: JsonObject | null;
  /** JSON Schema (2020-12) of a result; null: anything. */
  readonly resultSchema: JsonObject | null;
}

export const DEFAULT_SETTINGS: ProjectSettings = {
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

/** Settings as they lie in a project's row, which may be older than some of them. */
export function completeSettings(stored: Partial<ProjectSettings>): ProjectSettings {
  return { ...DEFAULT_SETTINGS, ...stored };
}
