import { createEngine, type Engine, openPostgresStore } from '../engine/index.ts';
import type { ShardBatch, Store } from '../engine/store/store.ts';

export interface EngineNode {
  readonly engine: Engine;
  /** What happened since the last call, and counts anew. */
  takeActivity(): Activity;
  stop(): Promise<void>;
}

export interface Activity {
  /** The submits that each commit carried; commits without one are left out. */
  readonly submitsPerCommit: readonly number[];
  readonly commitMs: readonly number[];
  /** Reads of the ready queue. */
  readonly queueReads: number;
  readonly queueReadMs: number;
}

/** A started engine with nothing around it. An incident (a lost commit, a failed read) ends the bench. */
export async function startEngineNode(url: string): Promise<EngineNode> {
  let activity = emptyActivity();
  const store = openPostgresStore(url);
  const observed: Store = {
    ...store,
    async readReady(query) {
      const startedMs = performance.now();
      const rows = await store.readReady(query);
      activity.queueReads += 1;
      activity.queueReadMs += performance.now() - startedMs;
      return rows;
    },
  };
  const engine = createEngine({
    store: observed,
    nodeName: 'bench',
    version: 'bench',
    onIncident: (incident) => {
      throw new Error(`the engine reports ${incident.kind} ${incident.detail ?? ''}`, {
        cause: incident.error,
      });
    },
    onCommit: (durationMs, batches) => {
      const submits = countSubmits(batches);
      if (submits > 0) activity.submitsPerCommit.push(submits);
      activity.commitMs.push(durationMs);
    },
  });
  await engine.start();
  return {
    engine,
    takeActivity() {
      const taken = activity;
      activity = emptyActivity();
      return taken;
    },
    async stop() {
      await engine.stop();
      await store.close();
    },
  };
}

function countSubmits(batches: readonly ShardBatch[]): number {
  return batches.reduce((sum, batch) => sum + batch.annotations.length, 0);
}

function emptyActivity() {
  return { submitsPerCommit: [] as number[], commitMs: [] as number[], queueReads: 0, queueReadMs: 0 };
}
