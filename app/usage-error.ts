/** The command line was used wrongly in a way that only the command itself can see. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
