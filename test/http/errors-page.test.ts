import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERRORS } from '../../protocol/errors.ts';

test('docs/errors.md has every code with its status, whether it may be retried, and what to do', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` +\| (\d+) +\| (yes|no) +\| (.+?) +\| (.+?) +\|$/gm)];
  const described = rows.map(([, code, status, retryable, says, remedy]) => {
    expect(remedy, code).toMatch(/\.$/);
    return [code, { status: Number(status), retryable: retryable === 'yes', says }];
  });
  expect(Object.fromEntries(described)).toEqual(ERRORS);
});
