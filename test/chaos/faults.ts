import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { CuttableProxy } from '../replay/cuttable-proxy.ts';
import { ADMIN_FAULTS } from './admin-faults.ts';
import type { ChaosCluster } from './chaos-cluster.ts';
import type { ChaosNode } from './chaos-node.ts';
import type { Crowd } from './crowd.ts';
import type { Dice } from './dice.ts';

/** A fault that has been decided on: who it is about, and what happens. It ends by itself. */
export interface Fault {
  readonly victim: string;
  readonly detail?: string;
  /** Settles when all is as it was before. */
  run(): Promise<void>;
}

export interface FaultKind {
  readonly name: string;
  readonly weight: number;
  /** @returns undefined when there is no victim for it now. */
  plan(world: World, dice: Dice): Fault | undefined;
}

/** All that faults can happen to. */
export interface World {
  readonly cluster: ChaosCluster;
  readonly crowd: Crowd;
}

const TERM_MS = 3_000;
const CONNECT_MS = 3_000;
/** Longer than a term and a heartbeat time together: leases end elsewhere while a hung node still thinks that it has them. */
const HANG_MS_MAX = 13_000;

/** Everything that may go wrong, and how often compared with the rest. */
export const FAULT_KINDS: readonly FaultKind[] = [
  ofNode('kill engine', 10, isUpEngine, (node, dice) => killed(node, dice.between(300, 4_000))),
  ofNode('kill gateway', 8, isUpGateway, (node, dice) => killed(node, dice.between(300, 4_000))),
  ofNode('freeze engine briefly', 6, isUpEngine, (node, dice) => frozen(node, dice.between(200, 2_200))),
  ofNode('freeze engine past its term', 7, isUpEngine, (node, dice) =>
    frozen(node, dice.between(TERM_MS + 500, TERM_MS * 3)),
  ),
  ofNode('freeze gateway briefly', 4, isUpGateway, (node, dice) => frozen(node, dice.between(200, 2_200))),
  ofNode('freeze gateway long', 4, isUpGateway, (node, dice) =>
    frozen(node, dice.between(TERM_MS + 500, TERM_MS * 3)),
  ),
  ofNode('drain engine', 8, isUpEngine, (node, dice) => drained(node, dice.between(100, 2_000))),
  ofNode('drain gateway', 5, isUpGateway, (node, dice) => drained(node, dice.between(100, 2_000))),
  {
    name: 'join and leave',
    weight: 5,
    plan({ cluster }, dice) {
      const node = dice.pick(cluster.nodes.filter((one) => one.state === 'down' && isGuest(one)));
      const stayMs = dice.between(6_000, 20_000);
      const isKilled = dice.chance(0.3);
      return (
        node && {
          victim: node.name,
          detail: `for ${Math.round(stayMs)} ms, then ${isKilled ? 'killed' : 'drained'}`,
          async run() {
            await node.start();
            await delay(stayMs);
            if (isKilled) await node.kill();
            else await node.drain();
          },
        }
      );
    },
  },
  postgres('crash Postgres', 4, 'immediate'),
  postgres('restart Postgres', 3, 'fast'),
  {
    name: 'terminate backends',
    weight: 6,
    plan: ({ cluster }, dice) => terminateBackends(cluster.postgres.url, dice.between(0.2, 1)),
  },
  {
    name: 'restart Redis',
    weight: 4,
    plan({ cluster }, dice) {
      const awayMs = dice.between(0, 3_000);
      return {
        victim: 'redis',
        detail: `away for ${Math.round(awayMs)} ms`,
        async run() {
          await cluster.redis.stop();
          await delay(awayMs);
          await cluster.redis.start();
        },
      };
    },
  },
  {
    name: 'pause Redis',
    weight: 4,
    plan({ cluster }, dice) {
      const ms = Math.round(dice.between(300, 4_000));
      return {
        victim: 'redis',
        detail: `for ${ms} ms`,
        async run() {
          await redisCommand(cluster, 'CLIENT', 'PAUSE', String(ms), 'ALL');
          await delay(ms);
        },
      };
    },
  },
  {
    name: 'kill Redis connections',
    weight: 4,
    plan({ cluster }, dice) {
      const type = dice.chance(0.5) ? 'PUBSUB' : 'NORMAL';
      return {
        victim: 'redis',
        detail: type,
        run: () => redisCommand(cluster, 'CLIENT', 'KILL', 'TYPE', type),
      };
    },
  },
  {
    name: 'everybody leaves',
    weight: 2,
    plan({ crowd }, dice) {
      const ms = dice.between(500, 8_000);
      return {
        victim: 'people',
        detail: `for ${Math.round(ms)} ms`,
        async run() {
          crowd.goAway(ms);
          await delay(ms);
        },
      };
    },
  },
  ...ADMIN_FAULTS,
  ...network('clients', (node) => node.fromClients),
  ...network('Redis', (node) => node.toRedis),
  ...network('Postgres', (node) => node.toPostgres),
];

function isUpEngine(node: ChaosNode): boolean {
  return node.state === 'up' && node.isEngine;
}

function isUpGateway(node: ChaosNode): boolean {
  return node.state === 'up' && node.isGateway;
}

/** Those that are not there all the time. */
export function isGuest(node: ChaosNode): boolean {
  return node.name.startsWith('guest');
}

function ofNode(
  name: string,
  weight: number,
  suits: (node: ChaosNode) => boolean,
  act: (node: ChaosNode, dice: Dice) => Omit<Fault, 'victim'>,
): FaultKind {
  return {
    name,
    weight,
    plan({ cluster }, dice) {
      const node = dice.pick(cluster.nodes.filter((one) => suits(one) && !isGuest(one)));
      return node && { victim: node.name, ...act(node, dice) };
    },
  };
}

function killed(node: ChaosNode, awayMs: number): Omit<Fault, 'victim'> {
  return {
    detail: `away for ${Math.round(awayMs)} ms`,
    async run() {
      await node.kill();
      await delay(awayMs);
      await node.start();
    },
  };
}

function frozen(node: ChaosNode, ms: number): Omit<Fault, 'victim'> {
  return {
    detail: `for ${Math.round(ms)} ms`,
    async run() {
      node.freeze();
      await delay(ms);
      node.thaw();
    },
  };
}

function drained(node: ChaosNode, awayMs: number): Omit<Fault, 'victim'> {
  return {
    async run() {
      await node.drain();
      await delay(awayMs);
      await node.start();
    },
  };
}

function postgres(name: string, weight: number, how: 'immediate' | 'fast'): FaultKind {
  return {
    name,
    weight,
    plan({ cluster }, dice) {
      const awayMs = dice.between(0, 2_000);
      return {
        victim: 'postgres',
        detail: `${how}, away for ${Math.round(awayMs)} ms`,
        run: () => cluster.postgres.restart(how, awayMs),
      };
    },
  };
}

function terminateBackends(url: string, share: number): Fault {
  return {
    victim: 'postgres',
    detail: `${Math.round(share * 100)} % of them`,
    async run() {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS });
      client.on('error', () => undefined);
      await client.connect();
      try {
        await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and random() < $1`,
          [share],
        );
      } finally {
        await client.end();
      }
    },
  };
}

async function redisCommand(cluster: ChaosCluster, ...args: string[]): Promise<void> {
  await cluster.redis.command(...args);
}

/** Connections of one node that are cut, slowed, or hung without being closed. */
function network(to: string, proxyOf: (node: ChaosNode) => CuttableProxy | undefined): FaultKind[] {
  const kind = (
    name: string,
    weight: number,
    act: (proxy: CuttableProxy, dice: Dice) => Omit<Fault, 'victim'>,
  ): FaultKind => ({
    name: `${name} ${to}`,
    weight,
    plan({ cluster }, dice) {
      const suited = cluster.nodes.filter((one) => one.state === 'up' && proxyOf(one) !== undefined);
      const node = dice.pick(suited);
      const proxy = node && proxyOf(node);
      return node && proxy && { victim: node.name, ...act(proxy, dice) };
    },
  });
  const lasting = async (proxy: CuttableProxy, ms: number): Promise<void> => {
    await delay(ms);
    proxy.heal();
  };
  return [
    kind('cut', 4, (proxy) => ({ run: async () => proxy.cut() })),
    kind('slow', 3, (proxy, dice) => {
      const [delayMs, ms] = [dice.between(20, 400), dice.between(2_000, 8_000)];
      return {
        detail: `by ${Math.round(delayMs)} ms, for ${Math.round(ms)} ms`,
        async run() {
          proxy.slow(delayMs);
          await lasting(proxy, ms);
        },
      };
    }),
    kind('hang', 3, (proxy, dice) => {
      const ms = dice.between(1_000, HANG_MS_MAX);
      return {
        detail: `for ${Math.round(ms)} ms`,
        async run() {
          proxy.hang();
          await lasting(proxy, ms);
        },
      };
    }),
  ];
}
