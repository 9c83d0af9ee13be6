/** One node of a cluster in a process of its own: an engine, a gateway without sockets, or both, and people at its door. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AnnotatorId } from '../../engine/ids.ts';
import { createEngine, type Engine, openDatabase, openPostgresStore, RedisBus } from '../../engine/index.ts';
import { readClusterId } from '../../engine/store/cluster.ts';
import type { NodeRole } from '../../engine/store/store.ts';
import { serveParent } from '../child.ts';
import { Crowd } from '../crowd.ts';
import { type Distribution, distribution } from '../measure.ts';
import { Prober } from './prober.ts';

export type NodeOrder =
  | { readonly start: { name: string; databaseUrl: string; redisUrl: string; roles: readonly NodeRole[] } }
  /** People take a first task each. */
  | { readonly gather: { project: string; annotatorIds: readonly AnnotatorId[] } }
  /** They submit and take the next, without a thought. */
  | { readonly workForMs: number }
  /** One of them does, alone. */
  | { readonly grantsAlone: number }
  /** One person per project works for so long, whatever happens. */
  | { readonly probe: { ms: number; seats: readonly { project: string; annotatorId: AnnotatorId }[] } }
  /** Hands its shards over and leaves. */
  | { readonly leave: true };

export interface NodeAnswer {
  readonly cycles: number;
  readonly grantMs?: Distribution;
  /** For each project that was probed, the longest that anybody waited for an answer, in ms. */
  readonly longestMs?: Readonly<Record<string, number>>;
}

interface Running {
  readonly engine: Engine;
  stop(): Promise<void>;
}

const NOTHING: NodeAnswer = { cycles: 0 };
const state: { running?: Running; crowd?: Crowd } = {};

serveParent<NodeOrder, NodeAnswer>(answer, async () => state.running?.stop());

async function answer(order: NodeOrder): Promise<NodeAnswer> {
  if ('start' in order) {
    state.running = await start(order.start);
    return NOTHING;
  }
  const { running, crowd } = state;
  if (running === undefined) throw new Error('a node was ordered about before it was started');
  const { work } = running.engine;
  if ('gather' in order) {
    state.crowd = await Crowd.gather({ work, ...order.gather });
    return NOTHING;
  }
  if ('probe' in order) {
    const prober = new Prober(work);
    return { cycles: 0, longestMs: await prober.probe(order.probe.seats, order.probe.ms) };
  }
  if ('leave' in order) {
    await running.engine.stop();
    return NOTHING;
  }
  if (crowd === undefined) throw new Error('nobody is here to work');
  if ('workForMs' in order) return { cycles: (await crowd.workFor(order.workForMs)).cycles };
  const grants = await crowd.grantsAlone(order.grantsAlone);
  return { cycles: grants.length, grantMs: distribution(grants) };
}

async function start(args: Extract<NodeOrder, { start: unknown }>['start']): Promise<Running> {
  const { name, databaseUrl, redisUrl, roles } = args;
  const db = openDatabase({ url: databaseUrl, poolMax: 1, applicationName: 'baton bench' });
  const clusterId = await readClusterId(db);
  await db.destroy();
  // What goes wrong while a node is killed is the point of it; the figures say what came of it.
  const quiet = (): void => undefined;
  const store = openPostgresStore(databaseUrl);
  const bus = new RedisBus({ url: redisUrl, clusterId, address: randomUUID(), onError: quiet });
  const engine = createEngine({ store, bus, roles, nodeName: name, version: 'bench', onIncident: quiet });
  await engine.start();
  return {
    engine,
    async stop() {
      await engine.stop();
      // The last answers of the pool are on their way still.
      await delay(0);
      await store.close();
    },
  };
}
