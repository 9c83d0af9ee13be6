import { setTimeout as delay } from 'node:timers/promises';
import { CallFailure, type ChaosCluster } from './chaos-cluster.ts';
import type { FaultKind } from './faults.ts';

/** One project is left alone: it always has work. */
const PROJECTS = ['beta', 'gamma', 'delta'];
const SHARDS_MAX = 6;
const TRIES_MAX = 60;
const AGAIN_MS = 500;

/** What admins do while people work and other things go wrong: no fault, and nothing may come of it. */
export const ADMIN_FAULTS: readonly FaultKind[] = [
  {
    name: 'change the number of shards',
    weight: 5,
    plan({ cluster }, dice) {
      const project = dice.pick(PROJECTS);
      const shards = 1 + Math.floor(dice.between(0, SHARDS_MAX));
      return {
        victim: `project ${project}`,
        detail: `to ${shards}`,
        run: () => untilDone(cluster, 'PATCH', `/api/projects/${project}`, { settings: { shards } }),
      };
    },
  },
  {
    name: 'pause a project',
    weight: 2,
    plan({ cluster }, dice) {
      const project = dice.pick(PROJECTS);
      const ms = dice.between(500, 5_000);
      return {
        victim: `project ${project}`,
        detail: `for ${Math.round(ms)} ms`,
        async run() {
          await untilDone(cluster, 'POST', `/api/projects/${project}/pause`);
          await delay(ms);
          await untilDone(cluster, 'POST', `/api/projects/${project}/resume`);
        },
      };
    },
  },
];

/** The same again until somebody has answered. @throws CallFailure of the last try. */
async function untilDone(cluster: ChaosCluster, method: string, path: string, body?: unknown): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await cluster.call(method, path, body ?? {});
      return;
    } catch (error) {
      if (!(error instanceof CallFailure) || tries >= TRIES_MAX) throw error;
      await delay(AGAIN_MS);
    }
  }
}
