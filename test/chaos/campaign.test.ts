import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type CampaignOptions, runCampaign } from './campaign.ts';
import { reportOf } from './report.ts';

const SMALL = {
  people: 8,
  pace: { leastMs: 1_000, mostMs: 2_500 },
  places: { 'gateway-1': 'gateway', 'engine-1': 'engine', 'engine-2': 'engine' },
  drainMs: 60_000,
  progressMs: 60_000,
  say: () => undefined,
} as const;

async function run(more: Pick<CampaignOptions, 'seed'> & Partial<CampaignOptions>) {
  const directory = mkdtempSync(join(tmpdir(), 'baton-test-campaign-'));
  try {
    const options = { ...SMALL, faultsMs: 14_000, directory, ...more };
    return reportOf(options, await runCampaign(options));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test.concurrent('a short campaign: faults against real processes, and everything holds', async ({
  expect,
}) => {
  const report = await run({ seed: 4 });
  expect(report.violations).toEqual([]);
  expect(report.drainedInMs).not.toBeNull();
  expect(report.faultsTotal).toBeGreaterThanOrEqual(3);
  expect(report.rows.annotations).toBeGreaterThan(20);
}, 240_000);

/**
 * People leave with leases open, and the engine stands still past its term. When it goes on it still believes in the leases,
 * ends those whose time is over, and commits that: without the fence that goes through.
 */
test.concurrent('the checks are checked: without the fence the checker goes red', async () => {
  const { violations } = await run({
    seed: 1,
    sabotage: 'fence',
    // What was committed without the right to it may keep the rest from ever being done.
    drainMs: 3_000,
    async scenario(cluster, crowd) {
      await delay(1_500);
      const frozen = cluster.nodes.filter((node) => node.name === 'engine-1');
      crowd.goAway(9_500);
      await delay(300);
      for (const node of frozen) node.freeze();
      await delay(7_000);
      for (const node of frozen) node.thaw();
      await delay(2_000);
    },
  });
  expect(violations.map(({ kind }) => kind)).toContain('stale_epoch');
}, 240_000);
