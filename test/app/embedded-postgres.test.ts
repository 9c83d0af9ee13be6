import pg from 'pg';
import { expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';

test('a test database is migrated', async () => {
  const db = await createTestDatabase();
  const c = new pg.Client({ connectionString: db.url });
  await c.connect();
  expect((await c.query('select count(*)::int as n from projects')).rows).toEqual([{ n: 0 }]);
  await c.end();
  await db.drop();
});
