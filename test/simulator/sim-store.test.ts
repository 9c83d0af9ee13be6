import { describe } from 'vitest';
import { type StoreBench, storeConformance } from '../store/conformance.ts';
import { SimDatabase } from './sim-database.ts';
import { moveStrays, setShards } from './sim-shards.ts';
import { simStore, type Wire } from './sim-store.ts';

/** A network without faults that takes no time. */
const WIRE: Wire = {
  there: () => Promise.resolve(),
  back: () => Promise.resolve(),
  straggle: () => undefined,
};

describe('over the simulated database', () => storeConformance(bench));

async function bench(): Promise<StoreBench> {
  const database = new SimDatabase({ nowMs: () => 0 });
  return {
    store: simStore(database, WIRE),
    async project({ shards, tasks, overlap = 1 }) {
      const row = database.addProject({ overlap }, shards);
      const [first] = row.shardIds;
      if (first !== undefined) database.addTasks(row, first, tasks);
      return row;
    },
    annotator: (capacity) => Promise.resolve(database.addAnnotator(capacity)),
    async spread({ id: projectId, shardIds }, count) {
      setShards(database, projectId, count);
      for (const shardId of shardIds) {
        while (moveStrays(database, { projectId, shardId, count, limit: 10 }) > 0);
      }
    },
    async silence(incarnation, ms) {
      const node = database.nodes.get(incarnation);
      if (node) node.renewedMs = database.nowMs() - ms;
    },
  };
}
