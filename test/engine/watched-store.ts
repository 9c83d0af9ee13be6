import type { PostgresStore } from '../../engine/index.ts';
import type { Store } from '../../engine/store/store.ts';
import { StoreError } from '../../engine/store/store-error.ts';

/** Stands between the engine and its store; calls the real thing, or not. */
export type Interceptor = <T>(method: keyof Store, call: () => Promise<T>) => Promise<T>;

/** Calls the real thing. */
export const PASS: Interceptor = (_method, call) => call();

/** The real store, with every call counted, so a test can wait until nothing is under way, and can get in between. */
export class WatchedStore implements Store {
  intercept: Interceptor = PASS;
  readonly calls = new Map<keyof Store, number>();
  private dead = false;
  private readonly underWay = new Set<Promise<unknown>>();
  private readonly real: PostgresStore;

  constructor(real: PostgresStore) {
    this.real = real;
  }

  /** From now on the process that uses this store is dead: nothing it wants reaches the database. */
  kill(): void {
    this.dead = true;
  }

  async close(): Promise<void> {
    await this.quiet();
    await this.real.close();
  }

  /** Resolves when no call is under way and none was begun in some turns of the event loop. */
  async quiet(): Promise<void> {
    for (let still = 0; still < 4; still++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.underWay.size === 0) continue;
      await Promise.allSettled([...this.underWay]);
      still = -1;
    }
  }

  joinNode: Store['joinNode'] = (...args) => this.run('joinNode', () => this.real.joinNode(...args));
  renewNode: Store['renewNode'] = (...args) => this.run('renewNode', () => this.real.renewNode(...args));
  leaveNode: Store['leaveNode'] = (...args) => this.run('leaveNode', () => this.real.leaveNode(...args));
  takeShard: Store['takeShard'] = (...args) => this.run('takeShard', () => this.real.takeShard(...args));
  liveNodes: Store['liveNodes'] = (...args) => this.run('liveNodes', () => this.real.liveNodes(...args));
  releaseShard: Store['releaseShard'] = (...args) =>
    this.run('releaseShard', () => this.real.releaseShard(...args));
  shardOwners: Store['shardOwners'] = (...args) =>
    this.run('shardOwners', () => this.real.shardOwners(...args));
  shardOfTask: Store['shardOfTask'] = (...args) =>
    this.run('shardOfTask', () => this.real.shardOfTask(...args));
  openLeasesOf: Store['openLeasesOf'] = (...args) =>
    this.run('openLeasesOf', () => this.real.openLeasesOf(...args));
  shardsWithOpenLeases: Store['shardsWithOpenLeases'] = () =>
    this.run('shardsWithOpenLeases', () => this.real.shardsWithOpenLeases());
  listProjects: Store['listProjects'] = () => this.run('listProjects', () => this.real.listProjects());
  readProject: Store['readProject'] = (...args) =>
    this.run('readProject', () => this.real.readProject(...args));
  readAnnotators: Store['readAnnotators'] = (...args) =>
    this.run('readAnnotators', () => this.real.readAnnotators(...args));
  loadShard: Store['loadShard'] = (...args) => this.run('loadShard', () => this.real.loadShard(...args));
  readReady: Store['readReady'] = (...args) => this.run('readReady', () => this.real.readReady(...args));
  readTask: Store['readTask'] = (...args) => this.run('readTask', () => this.real.readTask(...args));
  readAssignment: Store['readAssignment'] = (...args) =>
    this.run('readAssignment', () => this.real.readAssignment(...args));
  readPayloads: Store['readPayloads'] = (...args) =>
    this.run('readPayloads', () => this.real.readPayloads(...args));
  readDrafts: Store['readDrafts'] = (...args) => this.run('readDrafts', () => this.real.readDrafts(...args));
  unannouncedChunks: Store['unannouncedChunks'] = (...args) =>
    this.run('unannouncedChunks', () => this.real.unannouncedChunks(...args));
  allocateAssignmentIds: Store['allocateAssignmentIds'] = () =>
    this.run('allocateAssignmentIds', () => this.real.allocateAssignmentIds());
  commit: Store['commit'] = (...args) => this.run('commit', () => this.real.commit(...args));
  readBack: Store['readBack'] = (...args) => this.run('readBack', () => this.real.readBack(...args));

  private run<T>(method: keyof Store, call: () => Promise<T>): Promise<T> {
    if (this.dead) return Promise.reject(new StoreError(new Error('this process is dead')));
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
    const result = this.intercept(method, call);
    this.underWay.add(result);
    const over = () => this.underWay.delete(result);
    result.then(over, over);
    return result;
  }
}
