import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAdmin } from '../../engine/admin/index.ts';
import { ok } from '../../engine/refusals.ts';
import type { ProjectSettings } from '../../engine/settings.ts';
import { at, type Node, type Project, World } from './harness.ts';
import { RandomWork, seededRandom } from './random-work.ts';

let world: World;
beforeEach(async () => {
  world = await World.create();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

const STEPS = Number(process.env.BATON_STEPS ?? 1_000);
const GIVEN = process.env.BATON_SEED;
const SEEDS = GIVEN === undefined ? [1, Math.floor(Math.random() * 2 ** 31)] : [Number(GIVEN)];
const LIMITS = { windowRows: 8, windowRowsMax: 16, deepRows: 6, recentMax: 30 };

test.each(SEEDS)(
  'people who do anything at any time, with faults: BATON_SEED=%d',
  { timeout: 120_000 },
  async (seed) => {
    const random = seededRandom(seed);
    const settings = {
      heartbeatMs: 10_000,
      reconnectGraceMs: 4_000,
      maxDurationMs: 60_000,
      maxAttempts: 200,
    };
    const projects = [
      await world.project({ ...settings, overlap: 3, lateSubmit: 'accept', strategy: 'sequential' }),
      await world.project({ ...settings, overlap: 2, lateSubmit: 'surplus', startedFirst: false }),
    ];
    const node = await world.engine({ limits: LIMITS, random });
    const people = await Promise.all(
      Array.from({ length: 12 }, async (_, i) =>
        node.person(await world.annotator({ capacity: 1 + (i % 3) })),
      ),
    );
    const work = new RandomWork({ world, node, projects, people, random });
    for (let step = 0; step < STEPS; step++) {
      if (step % 200 === 0) {
        const project = at(projects, (step / 200) % 2);
        await world.tasks(
          project,
          Array.from({ length: 25 }, () => ({ priority: Math.floor(random() * 3) })),
        );
        await work.node.engine.control.tasksImported(project.id);
      }
      const moved =
        step % 150 === 75
          ? setShards(at(projects, Math.floor(step / 150) % 2), 1 + Math.floor(random() * 4), work.node)
          : undefined;
      await Promise.all(Array.from({ length: 1 + Math.floor(random() * 4) }, () => work.step()));
      await moved;
      if (random() < 0.1) await work.node.clock.advance(Math.floor(random() * 4_000));
      if (step % 500 === 250) {
        await work.node.crash();
        await work.moveTo(await world.engine({ limits: LIMITS, random }));
      }
      if (step % 100 === 99) {
        // At rest, after everything that was lost has been loaded again.
        work.isFaulty = false;
        await work.node.clock.advance(2_000);
        await work.checkWaiting();
        work.isFaulty = true;
      }
      expect(work.problems).toEqual([]);
    }
    work.isFaulty = false;
    await work.node.clock.advance(2_000);
    await work.checkWaiting();
    expect(work.problems).toEqual([]);
    const kept: { result: string; counted: boolean; late: boolean }[] = await world
      .db('annotations')
      .select('result', 'counted', 'late');
    const onDisk = new Map(kept.map((row) => [row.result, row]));
    for (const [submissionId, receipt] of work.receipts) {
      expect(onDisk.get(submissionId), submissionId).toMatchObject({
        counted: receipt.status === 'counted',
        late: receipt.late,
      });
    }
    expect(work.receipts.size).toBeGreaterThan(STEPS / 10);
  },
);

/** As PATCH does it; refused when the engine's database is away, and then said again with the next change. */
async function setShards(project: Project, shards: number, node: Node): Promise<void> {
  const { projects } = createAdmin({ db: world.db, engine: node.engine });
  const settings = (present: ProjectSettings) => ok({ ...present, shards });
  await projects.change({ slug: project.slug, settings, namesShards: true, actor: 'admin:1' });
}
