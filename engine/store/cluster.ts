import type { Database } from './database.ts';

/** Which cluster this database is: two of them may share a Redis and do not hear each other. @throws when it is away. */
export async function readClusterId(db: Database): Promise<string> {
  const row: { id: string } | undefined = await db('cluster').first('id');
  if (!row) throw new Error('the table cluster is empty');
  return row.id;
}
