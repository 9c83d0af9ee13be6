import { type Database, openDatabase } from '../database.ts';
import type { Store } from '../store.ts';
import { StoreError } from '../store-error.ts';
import { commitBatches } from './commit.ts';
import { COMMIT_SESSION } from './commit-sql.ts';
import * as ownership from './ownership.ts';
import * as read from './read.ts';

/** Connections for the engine's reads; commits have their own, so a slow read cannot hold one up. */
const READ_CONNECTIONS = 6;
/** Two commits in flight and one read-back. */
const COMMIT_CONNECTIONS = 3;

export interface PostgresStore extends Store {
  close(): Promise<void>;
}

/** The engine's store in Postgres. Whatever the database throws comes out as a StoreError. */
export function openPostgresStore(url: string): PostgresStore {
  const reads = openDatabase({ url, poolMax: READ_CONNECTIONS, applicationName: 'baton engine' });
  const commits = openDatabase({
    url,
    poolMax: COMMIT_CONNECTIONS,
    applicationName: 'baton commits',
    onConnect: COMMIT_SESSION,
    pipeline: true,
  });
  return {
    ...readMethods(reads),
    joinNode: (args) => guarded(ownership.joinNode(reads, args)),
    renewNode: (incarnation, termMs) => guarded(ownership.renewNode(reads, incarnation, termMs)),
    leaveNode: (incarnation) => guarded(ownership.leaveNode(reads, incarnation)),
    liveNodes: (termMs) => guarded(ownership.liveNodes(reads, termMs)),
    releaseShard: (shardId, incarnation) => guarded(ownership.releaseShard(reads, shardId, incarnation)),
    shardOwners: (afterMove) => guarded(ownership.shardOwners(reads, afterMove)),
    takeShard: (shardId, incarnation, termMs) =>
      guarded(ownership.takeShard(reads, shardId, incarnation, termMs)),
    shardsWithOpenLeases: () => guarded(ownership.shardsWithOpenLeases(reads)),
    commit: (incarnation, batches, passed) => commitBatches(commits, incarnation, batches, passed),
    readBack: (shardIds) => guarded(ownership.readBack(commits, shardIds)),
    close: async () => {
      await Promise.all([reads.destroy(), commits.destroy()]);
    },
  };
}

function readMethods(db: Database) {
  return {
    listProjects: () => guarded(read.listProjects(db)),
    readProject: (projectId) => guarded(read.readProject(db, projectId)),
    readAnnotators: (ids) => guarded(read.readAnnotators(db, ids)),
    loadShard: (shardId) => guarded(read.loadShard(db, shardId)),
    readReady: (query) => guarded(read.readReady(db, query)),
    readTask: (args) => guarded(read.readTask(db, args)),
    shardOfTask: (projectId, taskId) => guarded(read.shardOfTask(db, projectId, taskId)),
    openLeasesOf: (annotatorIds) => guarded(read.openLeasesOf(db, annotatorIds)),
    readAssignment: (ref) => guarded(read.readAssignment(db, ref)),
    readPayloads: (taskIds) => guarded(read.readPayloads(db, taskIds)),
    readDrafts: (of) => guarded(read.readDrafts(db, of)),
    unannouncedChunks: (shardId) => guarded(read.unannouncedChunks(db, shardId)),
    allocateAssignmentIds: () => guarded(read.allocateAssignmentIds(db)),
  } satisfies Partial<Store>;
}

async function guarded<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new StoreError(error);
  }
}
