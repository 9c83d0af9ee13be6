import { type AssignmentId, asId, type Incarnation, type ShardId } from '../../engine/ids.ts';
import { compareKeys } from '../../engine/queue/key.ts';
import type { NodeRow, OpenAssignmentRow, Store, TaskRow } from '../../engine/store/store.ts';
import { StoreError } from '../../engine/store/store-error.ts';
import { TASK_DATA } from './ledger.ts';
import type { SimAssignment, SimDatabase, SimTask } from './sim-database.ts';

/** The way to the database and back: takes time, and may fail. @throws StoreError */
export interface Wire {
  /** Rejects: it never arrives. */
  there(method: keyof Store): Promise<void>;
  /** Rejects: it was done, and the answer is lost. */
  back(method: keyof Store): Promise<void>;
  /** It was sent, and the connection is lost: it may still arrive, whenever, and nobody hears of it. */
  straggle(run: () => void): void;
}

const IDS_PER_BLOCK = 4_096;

/**
 * The engine's store over a simulated database. Each call is done at one moment, between a way there and a way back. A
 * commit whose outcome is lost may have been done, or never be done, or be done later: what was sent may lie in a buffer
 * when its sender has long read back that it is not there.
 */
export function simStore(database: SimDatabase, wire: Wire): Store {
  const call = async <T>(method: keyof Store, run: () => T): Promise<T> => {
    await wire.there(method);
    const answer = run();
    await wire.back(method);
    return answer;
  };
  return {
    joinNode: (args) => call('joinNode', () => joinNode(database, args)),
    renewNode: (incarnation, termMs) => call('renewNode', () => renew(database, incarnation, termMs)),
    leaveNode: (incarnation) => call('leaveNode', () => leave(database, incarnation)),
    liveNodes: (termMs) => call('liveNodes', () => live(database, termMs).map(({ row }) => row)),
    releaseShard: (shardId, incarnation) =>
      call('releaseShard', () => {
        const shard = database.shards.get(shardId);
        if (shard?.owner !== incarnation) return;
        shard.owner = null;
        database.moved(shard);
      }),
    shardOwners: (afterMove) =>
      call('shardOwners', () =>
        [...database.shards.values()]
          .filter(
            ({ id, move }) =>
              move > afterMove || [...database.chunks.values()].some((chunk) => chunk.shardId === id),
          )
          .sort((a, b) => a.move - b.move)
          .map(({ id, projectId, owner, move }) => {
            const hasNews = [...database.chunks.values()].some((chunk) => chunk.shardId === id);
            return { shardId: id, projectId, owner, move, hasNews };
          }),
      ),
    takeShard: (shardId, incarnation, termMs) =>
      call('takeShard', () => take(database, shardId, incarnation, termMs)),
    shardsWithOpenLeases: () =>
      call('shardsWithOpenLeases', () => {
        const found = new Map([...database.openLeases()].map((row) => [row.shardId, row.projectId]));
        return [...found].map(([shardId, projectId]) => ({ shardId, projectId }));
      }),
    listProjects: () => call('listProjects', () => [...database.projects.values()]),
    readProject: (id) => call('readProject', () => database.projects.get(id)),
    readAnnotators: (ids) =>
      call('readAnnotators', () => ids.flatMap((id) => database.annotators.get(id) ?? [])),
    loadShard: (shardId) => call('loadShard', () => load(database, shardId)),
    readReady: ({ shardId, started, after, limit, notHadBy }) =>
      call('readReady', () =>
        [...database.tasks.values()]
          .filter(
            (task) =>
              task.shardId === shardId &&
              task.state === 'waiting' &&
              task.filled > 0 === started &&
              compareKeys(task, after) > 0 &&
              (notHadBy === undefined || !task.had.includes(notHadBy)),
          )
          .sort(compareKeys)
          .slice(0, limit)
          .map(taskRow),
      ),
    readTask: ({ shardId, taskId }) =>
      call('readTask', () => {
        const task = database.tasks.get(taskId);
        return task?.shardId === shardId ? taskRow(task) : undefined;
      }),
    shardOfTask: (_projectId, taskId) => call('shardOfTask', () => database.tasks.get(taskId)?.shardId),
    openLeasesOf: (ids) =>
      call('openLeasesOf', () =>
        [...database.openLeases()]
          .filter((row) => ids.includes(row.annotatorId))
          .map((row) => ({ ...row, ref: { projectId: row.projectId, id: asId<AssignmentId>(row.id) } })),
      ),
    readAssignment: (ref) =>
      call('readAssignment', () => {
        const row = database.assignments.get(ref.id);
        if (!row) return undefined;
        const answer = database.annotations.get(ref.id);
        return {
          ref,
          shardId: database.tasks.get(row.taskId)?.shardId ?? row.shardId,
          taskId: row.taskId,
          annotatorId: row.annotatorId,
          slot: row.slot,
          state: row.state,
          machineVersion: 1,
          ageMs: database.nowMs() - row.grantedMs,
          submission: answer ? { id: answer.submissionId, counted: answer.counted, late: answer.late } : null,
        };
      }),
    readPayloads: (ids) =>
      call(
        'readPayloads',
        () => new Map(ids.map((id) => [id, JSON.stringify({ task: id, text: TASK_DATA })])),
      ),
    readDrafts: (of) =>
      call('readDrafts', () =>
        of.map(({ taskId, annotatorId }) => database.drafts.get(`${taskId}:${annotatorId}`)),
      ),
    unannouncedChunks: (shardId) =>
      call('unannouncedChunks', () =>
        [...database.chunks.values()]
          .filter((chunk) => chunk.shardId === shardId)
          .map(({ id, created, movedFrom }) => ({ id, created, movedFrom, actor: 'sim' })),
      ),
    allocateAssignmentIds: () =>
      call('allocateAssignmentIds', () => ({
        first: database.nextId() * IDS_PER_BLOCK,
        count: IDS_PER_BLOCK,
      })),
    async commit(incarnation, batches, passed) {
      const lost = (error: unknown) => (error instanceof Error ? error : new Error(String(error)));
      try {
        await wire.there('commit');
      } catch (error) {
        wire.straggle(() => database.commit(incarnation, batches));
        return { kind: 'unknown', error: lost(error) };
      }
      const outcome = database.commit(incarnation, batches);
      if (outcome.kind !== 'fenced') passed();
      try {
        await wire.back('commit');
      } catch (error) {
        return { kind: 'unknown', error: lost(error) };
      }
      return outcome;
    },
    readBack: (shardIds) =>
      call(
        'readBack',
        () =>
          new Map(
            shardIds.flatMap((id) => {
              const shard = database.shards.get(id);
              return shard ? [[id, { epoch: shard.epoch, lastSeq: shard.lastSeq }] as const] : [];
            }),
          ),
      ),
  };
}

function joinNode(database: SimDatabase, args: Omit<NodeRow, 'incarnation'>): Incarnation {
  const incarnation = asId<Incarnation>(database.nextId());
  database.nodes.set(incarnation, { row: { ...args, incarnation }, renewedMs: database.nowMs() });
  return incarnation;
}

function live(database: SimDatabase, termMs: number) {
  return [...database.nodes.values()].filter((node) => node.renewedMs > database.nowMs() - termMs);
}

function renew(database: SimDatabase, incarnation: Incarnation, termMs: number): boolean {
  const node = live(database, termMs).find(({ row }) => row.incarnation === incarnation);
  if (!node) return false;
  node.renewedMs = database.nowMs();
  return true;
}

function leave(database: SimDatabase, incarnation: Incarnation): void {
  for (const shard of database.shards.values()) {
    if (shard.owner !== incarnation) continue;
    shard.owner = null;
    database.moved(shard);
  }
  database.nodes.delete(incarnation);
}

function take(
  database: SimDatabase,
  shardId: ShardId,
  incarnation: Incarnation,
  termMs: number,
): { epoch: number; lastSeq: number } | undefined {
  const shard = database.shards.get(shardId);
  if (!shard || !database.nodes.has(incarnation)) return undefined;
  const isOwned = live(database, termMs).some(({ row }) => row.incarnation === shard.owner);
  if (isOwned && shard.owner !== incarnation) return undefined;
  if (shard.owner !== incarnation) database.moved(shard);
  shard.owner = incarnation;
  shard.epoch += 1;
  return { epoch: shard.epoch, lastSeq: shard.lastSeq };
}

function load(database: SimDatabase, shardId: ShardId) {
  const shard = database.shards.get(shardId);
  const project = shard && database.projects.get(shard.projectId);
  if (!shard || !project) return undefined;
  const open = [...database.openLeases()].filter((row) => row.shardId === shardId);
  const tasks = new Set(open.map((row) => row.taskId));
  return {
    project,
    counters: { ...shard.counters },
    open: open.flatMap((row) => openRow(database, row)),
    tasks: [...tasks].flatMap((id) => {
      const task = database.tasks.get(id);
      return task ? [taskRow(task)] : [];
    }),
  };
}

function openRow(database: SimDatabase, row: SimAssignment): OpenAssignmentRow[] {
  const { state } = row;
  if (state !== 'offered' && state !== 'active') return [];
  const { taskId, annotatorId, slot, capacitySlot, attempt, requestId } = row;
  return [
    {
      id: asId<AssignmentId>(row.id),
      taskId,
      annotatorId,
      slot,
      capacitySlot,
      attempt,
      state,
      machineVersion: 1,
      requestId,
      ageMs: database.nowMs() - row.grantedMs,
    },
  ];
}

function taskRow({ projectId: _project, shardId: _shard, ...row }: SimTask): TaskRow {
  return { ...row, filledSlots: [...row.filledSlots], had: [...row.had] };
}

/** What a lost connection looks like. */
export function connectionLost(): StoreError {
  return new StoreError(new Error('the connection was lost'));
}
