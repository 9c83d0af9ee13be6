import type { Catalog } from '../catalog.ts';
import type { ControlDoor, ProjectLive } from '../door.ts';
import type { AnnotatorId, AssignmentRef, ProjectId, ShardId, TaskId } from '../ids.ts';
import { ok, type Refusal, type Result, refuse } from '../refusals.ts';
import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import type { Directory } from './directory.ts';
import type { ControlCommand, NodeDoor, ProjectChange } from './node-door.ts';
import type { Routes } from './routes.ts';

/** Supervisors' and admins' commands on their way to the engines: to the owner of one shard, of all of a project, or to all. */
export class ControlRouter implements ControlDoor {
  private readonly args: {
    readonly store: Pick<Store, 'shardOfTask'>;
    readonly directory: Directory;
    readonly routes: Routes;
    readonly catalog: Catalog;
  };

  constructor(args: ControlRouter['args']) {
    this.args = args;
  }

  cancelTask(projectId: ProjectId, taskId: TaskId, actor: string): Promise<Result<{ state: string }>> {
    return this.onTask({ kind: 'cancelTask', projectId, taskId, actor }, stateOf);
  }

  requeueTask(projectId: ProjectId, taskId: TaskId, actor: string): Promise<Result<{ state: string }>> {
    return this.onTask({ kind: 'requeueTask', projectId, taskId, actor }, stateOf);
  }

  setPriority(
    projectId: ProjectId,
    taskId: TaskId,
    value: number,
    actor: string,
  ): Promise<Result<{ priority: number }>> {
    return this.onTask({ kind: 'setPriority', projectId, taskId, value, actor }, () => ({ priority: value }));
  }

  setOverlap(
    projectId: ProjectId,
    taskId: TaskId,
    value: number,
    actor: string,
  ): Promise<Result<{ state: string }>> {
    return this.onTask({ kind: 'setOverlap', projectId, taskId, value, actor }, stateOf);
  }

  async revoke(ref: AssignmentRef, actor: string, reason?: string): Promise<Result<{ ended: true }>> {
    const { routes } = this.args;
    const answer = await routes.atOwner(
      (isAgain) => routes.shardOfLease(ref, undefined, isAgain),
      ({ door }) => door.control({ kind: 'revoke', ref, actor, ...(reason === undefined ? {} : { reason }) }),
    );
    if (answer.ok) return ok({ ended: true });
    return answer.code === 'unknown_assignment'
      ? refuse('not_found', 'There is no such assignment.')
      : answer;
  }

  async projectCreated(projectId: ProjectId): Promise<Result<{ seen: true }>> {
    await this.args.directory.refresh();
    return this.toAll({ kind: 'projectCreated', projectId });
  }

  async projectChanged(
    projectId: ProjectId,
    change: ProjectChange,
    actor: string,
  ): Promise<Result<{ seen: true }>> {
    // It may have more shards than it had.
    const read = await this.readAnew(projectId);
    if (read) return read;
    const told = await this.toShards(projectId, (shardId) => ({
      kind: 'projectChanged',
      projectId,
      shardId,
      change,
      actor,
    }));
    if (!told.ok) return told;
    if (told.value.length === 0) return refuse('not_found');
    return this.toAll({ kind: 'projectRead', projectId });
  }

  annotatorChanged(annotatorId: AnnotatorId, actor: string): Promise<Result<{ seen: true }>> {
    return this.toAll({ kind: 'annotatorChanged', annotatorId, actor });
  }

  async tasksImported(projectId: ProjectId): Promise<Result<{ announced: number }>> {
    const told = await this.toShards(projectId, (shardId) => ({ kind: 'tasksImported', projectId, shardId }));
    if (!told.ok) return told;
    return ok({
      announced: told.value.reduce<number>((sum, answer) => sum + numberOf(answer, 'announced'), 0),
    });
  }

  async live(projectId: ProjectId): Promise<ProjectLive> {
    const answers = await Promise.all(
      this.engines().map((door) => door.control({ kind: 'live', projectId })),
    );
    const live = answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
    const expiries = live.map((one) => numberOf(one, 'nextExpiryMs', Number.POSITIVE_INFINITY));
    const next = Math.min(...expiries);
    return {
      leased: live.reduce<number>((sum, one) => sum + numberOf(one, 'leased'), 0),
      waitingAnnotators: live.reduce<number>((sum, one) => sum + numberOf(one, 'waiting'), 0),
      nextExpiryMs: Number.isFinite(next) ? next : null,
    };
  }

  private async onTask<T>(
    command: Extract<ControlCommand, { taskId: TaskId }>,
    read: (answer: unknown) => T,
  ): Promise<Result<T>> {
    const { routes, catalog, store } = this.args;
    const { projectId, taskId } = command;
    const find = async (isAgain: boolean) => {
      const row = await catalog.find(projectId);
      const isSure = row?.shardIds.length === 1 && !isAgain;
      return isSure ? row.shardIds[0] : store.shardOfTask(projectId, taskId);
    };
    const answer = await routes.atOwner(find, ({ door }) => door.control(command));
    if (answer.ok) return ok(read(answer.value));
    return answer.code === 'unknown_assignment' ? refuse('not_found', 'There is no such task.') : answer;
  }

  /** One after the other: what a shard was told is recorded there, and those before it stand if one cannot be reached. */
  private async toShards(
    projectId: ProjectId,
    command: (shardId: ShardId) => ControlCommand,
  ): Promise<Result<unknown[]>> {
    const { catalog, routes } = this.args;
    const answers: unknown[] = [];
    try {
      const row = await catalog.find(projectId);
      for (const shardId of row?.shardIds ?? []) {
        const answer = await this.toShard(shardId, command(shardId));
        if (!answer.ok) return answer;
        answers.push(answer.value);
      }
      return ok(answers);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return routes.unavailable();
    }
  }

  /** A shard whose tasks were moved finds that out when it answers: it is asked again when it has reloaded. */
  private async toShard(shardId: ShardId, command: ControlCommand): Promise<Result<unknown>> {
    const { directory, routes } = this.args;
    // Who shall take it depends on who has taken what, a moment ago.
    if (directory.ownerOf(shardId) === undefined) await directory.refresh();
    const ask = () =>
      routes.atOwner(
        async () => shardId,
        ({ door }) => door.control(command),
      );
    const answer = await ask();
    return answer.ok || answer.code !== 'unavailable' ? answer : ask();
  }

  /** @returns a refusal when the database is away. */
  private async readAnew(projectId: ProjectId): Promise<Refusal | undefined> {
    try {
      await this.args.catalog.refresh(projectId);
      return undefined;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return this.args.routes.unavailable();
    }
  }

  /** @returns the first refusal, if one cannot be told: the caller tries again, and all are told again. */
  private async toAll(command: ControlCommand): Promise<Result<{ seen: true }>> {
    const { catalog, routes } = this.args;
    try {
      if ('projectId' in command) await catalog.refresh(command.projectId);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return routes.unavailable();
    }
    const answers = await Promise.all(this.engines().map((door) => door.control(command)));
    const refused = answers.find((answer) => !answer.ok);
    return refused && !refused.ok ? refused : ok({ seen: true });
  }

  private engines(): NodeDoor[] {
    const { directory, routes } = this.args;
    const only = routes.onlyEngine();
    return only ? [only] : directory.engines().map((node) => routes.door(node.address));
  }
}

function stateOf(answer: unknown): { state: string } {
  return { state: typeof answer === 'object' && answer && 'state' in answer ? String(answer.state) : '' };
}

function numberOf(answer: unknown, name: string, otherwise = 0): number {
  if (typeof answer !== 'object' || answer === null) return otherwise;
  const value: unknown = new Map(Object.entries(answer)).get(name);
  return typeof value === 'number' ? value : otherwise;
}
