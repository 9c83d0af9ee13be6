import type { BenchCluster } from './postgres.ts';

export interface BenchContext {
  readonly cluster: BenchCluster;
  /** Small sizes and short windows: to see that a suite runs, not to quote. */
  readonly quick: boolean;
  /** One line of progress for whoever waits. */
  readonly say: (line: string) => void;
}

/** Rows keep their figures under the names of the columns, so that the JSON file reads by itself. */
export interface Table {
  readonly title: string;
  readonly rows: readonly Readonly<Record<string, string | number | null>>[];
}

export interface Goal {
  readonly name: string;
  readonly value: number;
  readonly bound: 'at least' | 'at most';
  readonly limit: number;
  readonly unit: string;
}

export interface SuiteReport {
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
  /** What a reader must know to read the tables. */
  readonly notes: readonly string[];
}

export interface Suite {
  readonly name: string;
  readonly about: string;
  run(context: BenchContext): Promise<SuiteReport>;
}

export function isMet(goal: Goal): boolean {
  return goal.bound === 'at least' ? goal.value >= goal.limit : goal.value <= goal.limit;
}
