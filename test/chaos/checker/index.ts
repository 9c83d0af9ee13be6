import type { Histories } from '../history.ts';
import { checkAnswers } from './answers.ts';
import { checkDrafts } from './drafts.ts';
import { checkEnding } from './ending.ts';
import { Evidence, type Violation } from './evidence.ts';
import { checkLeases } from './leases.ts';
import type { ChaosRows } from './rows.ts';

export { KINDS, SKEW_MS, type Violation } from './evidence.ts';
export { type ChaosRows, readRows, readRowsFile, rowsText, type TimedTransition } from './rows.ts';

/**
 * Holds what clients saw against what the database says. Knows nothing of the engine but the codes in its tables.
 *
 * @returns everything that is wrong, in words.
 */
export function check(histories: Histories, rows: ChaosRows): Violation[] {
  const evidence = new Evidence(histories, rows);
  return [
    ...checkAnswers(evidence),
    ...checkLeases(evidence),
    ...checkDrafts(evidence),
    ...checkEnding(evidence),
  ];
}
