import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { drawMachines } from './draw.ts';

test('docs/machines.md is what the machines draw', () => {
  const page = readFileSync(new URL('../docs/machines.md', import.meta.url), 'utf8');
  expect(page, 'the machines changed: run "npm run docs:machines" and commit docs/machines.md').toBe(
    drawMachines(),
  );
});
