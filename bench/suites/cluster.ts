import { ensureRedis, startTestRedis } from '../../test/support/redis.ts';
import { measureHop } from '../cluster/hop.ts';
import { measureLocalWork } from '../cluster/local-work.ts';
import { measureMoves } from '../cluster/moves.ts';
import { openFilesMax } from '../storm/open-files.ts';
import { runStorm, type StormReport } from '../storm/storm.ts';
import type { BenchContext, Suite, SuiteReport, Table } from '../suite.ts';

const STORM = { annotators: 5_000, calmMs: 5_000, stormMs: 15_000, waitsOutGraces: true };
const QUICK_STORM = { annotators: 300, calmMs: 1_000, stormMs: 3_000, waitsOutGraces: false };
/** Sockets of the clients' process and of the gateway's, and some more. */
const FILES_MORE = 500;

export const clusterSuite: Suite = {
  name: 'cluster',
  about: 'many nodes: CPU per cycle, a hop, takeover, hand-over, a storm of reconnects',
  run,
};

async function run(context: BenchContext): Promise<SuiteReport> {
  ensureRedis();
  const redis = await startTestRedis();
  try {
    const { cluster, quick, say } = context;
    const local = await measureLocalWork(context, redis.url);
    const hop = await measureHop(context, redis);
    const moves = await measureMoves(context, redis.url);
    const plan = quick ? QUICK_STORM : STORM;
    const files = plan.annotators + FILES_MORE;
    if (openFilesMax() < files) throw new Error(`the storm needs ${files} open files: raise ulimit -n`);
    const storms: StormReport[] = [];
    for (const manners of ['together', 'sdk'] as const) {
      say(`storm of ${plan.annotators}, ${manners}`);
      const name = `bench_storm_${manners}`;
      const databaseUrl = await cluster.createDatabase(name);
      storms.push(
        await runStorm({
          ...plan,
          databaseUrl,
          redisUrl: redis.url,
          postmasterPid: cluster.pid,
          manners,
          say,
        }),
      );
      await cluster.dropDatabase(name);
    }
    return {
      tables: [...local.tables, ...hop.tables, ...moves.tables, stormTable(plan.annotators, storms)],
      goals: [
        ...local.goals,
        ...moves.goals,
        {
          name: 'leases that ended in a storm',
          value: Math.max(...storms.map((storm) => storm.endedLeases)),
          bound: 'at most',
          limit: 0,
          unit: '',
        },
      ],
      notes: [
        'Two CPUs cannot show that more nodes do more: what is measured is what a cycle costs on them.',
        ...hop.notes,
        ...moves.notes,
      ],
    };
  } finally {
    await redis.stop();
  }
}

function stormTable(annotators: number, storms: readonly StormReport[]): Table {
  return {
    title: `${annotators} annotators whose gateway is killed come back to the other one`,
    rows: storms.map((storm, i) => ({
      manners: i === 0 ? 'all at once' : 'as the SDK does',
      'back p50 ms': storm.back?.p50 ?? null,
      'back p99 ms': storm.back?.p99 ?? null,
      'all back ms': storm.back?.max ?? null,
      refused: Object.values(storm.refusals).reduce((sum, count) => sum + count, 0),
      'leases ended': storm.endedLeases,
      'gateway CPU ms': storm.cpu.gatewayMs,
      'engines CPU ms': storm.cpu.enginesMs,
      'Postgres CPU ms': storm.cpu.postgresMs,
      'gateway lag ms': storm.lag.gatewayMs,
    })),
  };
}
