import type { AnnotatorId, Incarnation, ShardId } from '../ids.ts';

/** How many shards each live engine owns. */
export type Load = ReadonlyMap<Incarnation, number>;

/**
 * The engine that a shard without an owner shall go to: the one that owns the fewest, and among equals one that depends
 * on the shard, so that gateways which see the same cluster choose the same. @returns undefined when no engine is there.
 */
export function placeFor(shardId: ShardId, load: Load): Incarnation | undefined {
  let best: { incarnation: Incarnation; count: number; weight: number } | undefined;
  for (const [incarnation, count] of load) {
    const weight = mix(shardId, incarnation);
    if (!best || count < best.count || (count === best.count && weight > best.weight)) {
      best = { incarnation, count, weight };
    }
  }
  return best?.incarnation;
}

/** Orphans, spread: each to who then owns the fewest. Every engine computes the whole plan and acts on its own part. */
export function spread(orphans: readonly ShardId[], load: Load): Map<ShardId, Incarnation> {
  const counts = new Map(load);
  const plan = new Map<ShardId, Incarnation>();
  for (const shardId of [...orphans].sort((a, b) => a - b)) {
    const to = placeFor(shardId, counts);
    if (to === undefined) break;
    plan.set(shardId, to);
    counts.set(to, (counts.get(to) ?? 0) + 1);
  }
  return plan;
}

/**
 * Where this engine's surplus shall go. A shard moves only from an engine that owns at least two more than the one it
 * goes to: no move that does not even out, and none when it is even.
 */
export function surplusOf(self: Incarnation, load: Load): Incarnation[] {
  const counts = new Map(load);
  const targets: Incarnation[] = [];
  for (;;) {
    const mine = counts.get(self) ?? 0;
    const least = [...counts].reduce<[Incarnation, number] | undefined>(
      (best, entry) => (best === undefined || entry[1] < best[1] ? entry : best),
      undefined,
    );
    const most = Math.max(...counts.values());
    // Only who owns the most gives: two that are over the mean would both give to the same one.
    if (least === undefined || mine - least[1] < 2 || mine < most) return targets;
    targets.push(least[0]);
    counts.set(self, mine - 1);
    counts.set(least[0], least[1] + 1);
  }
}

/**
 * A project's shards in the order in which this annotator is served from them: another for everybody, always the same for
 * one. People spread evenly over the shards, over any that one engine owns, and over the rest when one is empty.
 */
export function inOrderFor(annotatorId: AnnotatorId, shardIds: readonly ShardId[]): readonly ShardId[] {
  if (shardIds.length < 2) return shardIds;
  const weighted = shardIds.map((shardId) => ({ shardId, weight: mix(shardId, annotatorId) }));
  return weighted.sort((a, b) => b.weight - a.weight).map(({ shardId }) => shardId);
}

/** Fowler, Noll and Vo's hash (FNV-1a, 32 bits) of the two numbers, finished as in MurmurHash3. */
function mix(shardId: number, other: number): number {
  let hash = 0x811c9dc5;
  for (const char of `${shardId}:${other}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
