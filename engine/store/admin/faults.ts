/**
 * What a failed query means. `away`: the database cannot be reached, restarts, or gave up on waiting; the same
 * request may succeed later. `disk_full`: the database has no room. `clash`: two transactions were in each
 * other's way and one of them was undone; it may be repeated at once.
 */
export type DatabaseFault = 'away' | 'disk_full' | 'clash';

const AWAY = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  // Shut down by an administrator, after a crash, or still starting; dropped; out of connections or of memory.
  '57P01',
  '57P02',
  '57P03',
  '57P04',
  '57P05',
  '57014',
  '53000',
  '53200',
  '53300',
  '55P03',
  '25P03',
  '25006',
  '58000',
  '58030',
]);

/** Knex and pg report these without a code. */
const AWAY_MESSAGE =
  /connection terminated|connection ended|client has encountered a connection error|timeout acquiring a connection|timeout exceeded when trying to connect|^timeout expired$|connection timeout|acquiring a connection|pool is probably full|server closed the connection|cannot use a pool|unable to acquire a connection/i;

/** @returns undefined for an error that is not the database's state but a bug or a wrong value. */
export function faultOf(error: unknown): DatabaseFault | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code === '53100') return 'disk_full';
  if (code === '40P01' || code === '40001') return 'clash';
  if (AWAY.has(code) || code.startsWith('08')) return 'away';
  if (error.name === 'KnexTimeoutError' || AWAY_MESSAGE.test(error.message)) return 'away';
  if (error instanceof AggregateError) return faultOf(error.errors[0]);
  return undefined;
}
