/**
 * What may be logged of an exception: its kind and where it was thrown. Its message is left out, because a
 * database's messages quote the values that they are about (I9).
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: typeof error };
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { error: error.name, ...code, at: frames.slice(0, 8).map((line) => line.trim()) };
}
