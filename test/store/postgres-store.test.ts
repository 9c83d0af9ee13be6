import { afterEach, describe } from 'vitest';
import type { Incarnation } from '../../engine/ids.ts';
import { openPostgresStore, type PostgresStore } from '../../engine/index.ts';
import { moveStrays, readStretch } from '../../engine/store/admin/move-tasks.ts';
import { updateProject } from '../../engine/store/admin/projects.ts';
import { World } from '../engine/harness.ts';
import { type StoreBench, storeConformance } from './conformance.ts';

const opened: { world: World; store: PostgresStore }[] = [];

afterEach(async () => {
  for (const { world, store } of opened.splice(0)) {
    await store.close();
    // Rows that no engine would write are what these tests are about: what is wrong with them is not asked.
    await world.close();
  }
});

describe('over Postgres', () => storeConformance(bench));

async function bench(): Promise<StoreBench> {
  const world = await World.create();
  const store = openPostgresStore(world.database.url);
  opened.push({ world, store });
  return {
    store,
    async project({ shards, tasks, overlap = 1 }) {
      const made = await world.project({ overlap });
      await world.tasks(
        made,
        Array.from({ length: tasks }, () => ({})),
      );
      // Tasks first: an import spreads over all shards that are there.
      for (let part = 1; part < shards; part++)
        await world.db('shards').insert({ project_id: made.id, part });
      const row = await store.readProject(made.id);
      if (!row) throw new Error('the project was made');
      return row;
    },
    annotator: (capacity) => world.annotator({ capacity }),
    spread: ({ id: projectId, shardIds, settings }, shards) =>
      world.db.transaction(async (tx) => {
        const change = { name: 'spread', status: 'active', settings: { ...settings, shards } } as const;
        await updateProject(tx, projectId, change);
        const homes = shardIds.slice(0, shards);
        for (const [part, shardId] of shardIds.entries()) {
          const stretch = await readStretch(tx, { shardId, homes, after: undefined, limit: 1_000 });
          if (stretch) await moveStrays(tx, { projectId, part, homes, stretch, actor: 'test' });
        }
      }),
    async silence(incarnation: Incarnation, ms) {
      await world
        .db('nodes')
        .where({ incarnation })
        .update({ renewed_at: world.db.raw(`now() - ? * interval '1 millisecond'`, [ms]) });
    },
  };
}
