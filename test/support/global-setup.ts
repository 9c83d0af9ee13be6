import type { TestProject } from 'vitest/node';
import { migrate } from '../../app/migrate.ts';
import { startTestCluster, sweepLeftClusters } from './cluster.ts';
import { ensureRedis } from './redis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The migrated database that every test file clones. Nobody connects to it, or it could not be cloned. */
    readonly templateUrl: string;
  }
}

/** One Postgres for the whole run, migrated once; and a redis-server that tests can start. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  ensureRedis();
  await sweepLeftClusters();
  const cluster = await startTestCluster();
  await migrate(cluster.url);
  project.provide('templateUrl', cluster.url);
  return () => cluster.stop();
}
