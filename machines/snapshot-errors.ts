/** A snapshot, or what a step would make of it, breaks an invariant. The task's state cannot be trusted: quarantine it. */
export class InvalidSnapshotError extends Error {
  override readonly name = 'InvalidSnapshotError';
}

/** A snapshot was written by a later release, whose states this one does not know. */
export class FutureSnapshotError extends Error {
  override readonly name = 'FutureSnapshotError';
  readonly version: number;

  constructor(version: number, known: number) {
    super(`the snapshot has version ${version}, this release knows ${known} at most`);
    this.version = version;
  }
}
