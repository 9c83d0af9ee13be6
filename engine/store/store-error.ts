/** The database is away, or would not do it: retryable for whoever asked. A bug in our SQL comes as one too, and is logged. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** The SQLSTATE or system code, when there is one. */
  readonly code: string | undefined;

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.code =
      typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : undefined;
  }
}
