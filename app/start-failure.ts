/** Every reason why a start is refused that an operator can do something about. */
export type StartFailureCode =
  | 'bad_setting'
  | 'data_directory_unusable'
  | 'data_directory_in_use'
  | 'data_directory_newer'
  | 'data_directory_older'
  | 'database_foreign'
  | 'database_newer'
  | 'database_older'
  | 'database_unsupported'
  | 'database_unreachable'
  | 'migration_failed'
  | 'port_in_use'
  | 'port_refused'
  | 'postgres_account'
  | 'postgres_binaries'
  | 'postgres_failed'
  | 'redis_unusable'
  | 'sample_failed';

/**
 * Thrown when the server cannot start for a reason outside the code: configuration, the machine, the data
 * directory. The message is one sentence on what is wrong; `remedy` says what to do about it.
 */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
  readonly code: StartFailureCode;
  readonly remedy: string;

  constructor(code: StartFailureCode, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
    this.remedy = remedy;
  }
}

/** The code of a system error such as ENOENT, or undefined when the value is not one. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
