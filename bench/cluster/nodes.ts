import type { NodeRole } from '../../engine/store/store.ts';
import { type Child, startChild } from '../child.ts';
import { processCpuMs } from '../cpu.ts';
import { withDatabase } from '../population.ts';
import type { NodeAnswer, NodeOrder } from './node-process.ts';

const OWNERS_LOOKS_MAX = 100;
const LOOK_MS = 100;

/** A node of a cluster, in a process of its own. */
export interface BenchNode {
  readonly name: string;
  readonly child: Child<NodeOrder, NodeAnswer>;
}

export interface ClusterAddress {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export async function startNode(
  at: ClusterAddress,
  name: string,
  roles: readonly NodeRole[],
): Promise<BenchNode> {
  const child = startChild<NodeOrder, NodeAnswer>('./cluster/node-process.ts');
  await child.ask({ start: { name, roles, ...at } });
  return { name, child };
}

/** CPU time of all of them so far, in ms. */
export function cpuMsOf(nodes: readonly BenchNode[]): number {
  return nodes.reduce((sum, { child }) => sum + (processCpuMs(child.pid) ?? 0), 0);
}

/** Who owns the shards of each project, by slug: the names of nodes that are alive. */
export function ownersOf(databaseUrl: string): Promise<Map<string, string>> {
  return withDatabase(databaseUrl, async (db) => {
    const rows: { slug: string; name: string }[] = await db('shards as s')
      .join('projects as p', 'p.id', 's.project_id')
      .join('nodes as n', 'n.incarnation', 's.owner')
      .select('p.slug', 'n.name');
    return new Map(rows.map((row) => [row.slug, row.name]));
  });
}

/** @throws when it does not come to be in ten seconds. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < OWNERS_LOOKS_MAX; look += 1) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error(`${what}: it did not come to that in ${(OWNERS_LOOKS_MAX * LOOK_MS) / 1_000} s`);
}
