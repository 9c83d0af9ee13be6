import { expect, test } from 'vitest';
import { simulate } from './simulation.ts';

const SEEDS = 200;
/** Runs that once found something, and what was mended. */
const REGRESSIONS = [
  // A shard that was handed over while it was being loaded took a command.
  5,
  // A node answered before it had joined.
  47,
  // A request whose answer was lost led to a second lease at another engine.
  299, 474,
  // An engine answered before it had read the projects.
  919,
  // A shard that was read for longer than a term was served by a node that had lost it and joined anew meanwhile.
  33,
];

test(`${SEEDS} simulated clusters: every invariant holds at every step, and all work is done in the end`, async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = await simulate({ seed });
    wrong.push(...report.problems.map((problem) => `seed ${seed}: ${problem}`));
  }
  expect(wrong).toEqual([]);
}, 300_000);

test.each(REGRESSIONS)('what seed %i found stays mended', async (seed) => {
  expect((await simulate({ seed })).problems).toEqual([]);
});

test('a seed does the same again', async () => {
  const trace = async () => {
    const lines: string[] = [];
    await simulate({ seed: 11, trace: (atMs, what) => lines.push(`${atMs} ${what}`) });
    return lines;
  };
  const first = await trace();
  expect(first.length).toBeGreaterThan(10);
  expect(await trace()).toEqual(first);
});

test.each(['fence', 'capacity', 'stale_timer', 'idempotency', 'takeover_grace'] as const)(
  'the checks are checked: without %s the simulator goes red',
  async (without) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      if ((await simulate({ seed, without })).problems.length > 0) return;
    }
    expect.unreachable(`${SEEDS} runs without ${without} found nothing`);
  },
  300_000,
);
