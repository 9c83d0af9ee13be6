import type { AssignmentSnapshot } from './assignment.ts';
import { checkAssignment, checkTask } from './snapshot-checks.ts';
import { FutureSnapshotError, InvalidSnapshotError } from './snapshot-errors.ts';
import type { TaskSnapshot } from './task.ts';

/** Stored beside every snapshot. One higher whenever a stored snapshot would mean something else than before. */
export const MACHINE_VERSION = 1;

/**
 * Brings a stored task snapshot to this release's form.
 * @throws FutureSnapshotError when a later release wrote it.
 * @throws InvalidSnapshotError when it breaks an invariant of its version.
 */
export function upcastTask(version: number, snapshot: unknown): TaskSnapshot {
  checkVersion(version);
  checkTask(snapshot);
  return snapshot;
}

/** As upcastTask, for assignments. */
export function upcastAssignment(version: number, snapshot: unknown): AssignmentSnapshot {
  checkVersion(version);
  checkAssignment(snapshot);
  return snapshot;
}

function checkVersion(version: number): void {
  if (!Number.isSafeInteger(version) || version < 1)
    throw new InvalidSnapshotError(`no such version: ${version}`);
  if (version > MACHINE_VERSION) throw new FutureSnapshotError(version, MACHINE_VERSION);
}
