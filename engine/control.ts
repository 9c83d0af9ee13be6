import type { ControlCommand } from './cluster/node-door.ts';
import type { EngineContext } from './context.ts';
import type { AnnotatorId, AssignmentRef, ProjectId, ShardId, TaskId } from './ids.ts';
import type { Projects } from './projects.ts';
import { ok, type Refusal, type Result, refuse } from './refusals.ts';
import type { Json } from './settings.ts';
import {
  cancelTask,
  changeSettings,
  findTask,
  requeueTask,
  setOverlap,
  setPriority,
} from './shard/control.ts';
import { endLease } from './shard/end-lease.ts';
import { announceImports } from './shard/imports.ts';
import type { TaskEntry } from './shard/task-entry.ts';
import type { Term } from './shard/term.ts';
import { nextExpiryMs } from './shard/waiting.ts';
import type { TransitionName } from './store/codes.ts';
import { StoreError } from './store/store-error.ts';

const PROJECT_TRANSITIONS = {
  settings: 'project_settings',
  paused: 'project_paused',
  resumed: 'project_resumed',
  archived: 'project_archived',
} as const satisfies Record<string, TransitionName>;

/** Supervisors' and admins' commands: through the shard like everything else, so they are ordered and recorded. */
export class Control {
  private readonly context: EngineContext;
  private readonly projects: Projects;

  constructor(context: EngineContext, projects: Projects) {
    this.context = context;
    this.projects = projects;
  }

  run(command: ControlCommand): Promise<Result<Json>> {
    switch (command.kind) {
      case 'cancelTask':
        return this.onTask(command, (term, task) => cancelTask(term, task, command.actor));
      case 'requeueTask':
        return this.onTask(command, (term, task) => requeueTask(term, task, command.actor));
      case 'setPriority':
        return this.onTask(command, (term, task) => setPriority(term, task, command.value, command.actor));
      case 'setOverlap':
        return this.onTask(command, (term, task) => setOverlap(term, task, command.value, command.actor));
      case 'revoke':
        return this.revoke(command.ref, command.actor, command.reason);
      case 'projectCreated':
        return this.projectCreated(command.projectId);
      case 'projectRead':
        return this.projectRead(command.projectId);
      case 'projectChanged':
        return this.projectChanged(command);
      case 'annotatorChanged':
        return this.annotatorChanged(command.annotatorId, command.actor);
      case 'tasksImported':
        return this.tasksImported(command.projectId, command.shardId);
      case 'live':
        return this.live(command.projectId);
      case 'adopt':
        return this.adopt(command.projectId, command.shardId);
    }
  }

  private async revoke(ref: AssignmentRef, actor: string, note?: string): Promise<Result<{ ended: true }>> {
    const found = await this.projects.findLeaseShard(ref);
    if ('code' in found) return found;
    return found.use<{ ended: true }>(async (term) => {
      const lease = term.leases.get(ref.id);
      if (!lease) {
        const row = term.ended.get(ref.id) ?? (await this.context.store.readAssignment(ref));
        if (!row) return refuse('not_found', 'There is no such assignment.');
        if (row.state === 'offered' || row.state === 'active') return found.unavailable();
        return row.state === 'revoked'
          ? ok({ ended: true })
          : refuse('lease_ended', `The assignment is ${row.state}.`);
      }
      const { task } = lease;
      endLease(term, lease, {
        event: 'REVOKE',
        reason: 'revoked',
        actor,
        tellHolder: true,
        ...(note === undefined ? {} : { note }),
      });
      found.offer(term, task);
      return found.saved(term, ok({ ended: true }));
    });
  }

  private async projectCreated(projectId: ProjectId): Promise<Result<{ seen: true }>> {
    try {
      const row = await this.projects.refresh(projectId);
      if (!row) return refuse('not_found', 'There is no such project.');
      for (const member of this.context.roster.all()) this.projects.joinWaiting(member, row);
      return ok({ seen: true });
    } catch (error) {
      return this.unlessStoreIsAway(error);
    }
  }

  /** The row of a project changed, and another node's shards are told of it: requests here must know, too. */
  private async projectRead(projectId: ProjectId): Promise<Result<{ seen: true }>> {
    try {
      await this.projects.refresh(projectId);
      return ok({ seen: true });
    } catch (error) {
      return this.unlessStoreIsAway(error);
    }
  }

  private projectChanged({
    projectId,
    shardId,
    change,
    actor,
  }: Extract<ControlCommand, { kind: 'projectChanged' }>): Promise<Result<{ seen: true }>> {
    const shard = this.projects.shard(shardId, projectId);
    return shard.use<{ seen: true }>(async (term) => {
      const row = await this.projects.refresh(projectId);
      if (!row || !term.alive) return shard.unavailable();
      const reordered = row.settings.strategy !== term.project.settings.strategy;
      changeSettings(term, row);
      // It may have grown, and this shard be new: who waits for the project waits here as well.
      for (const member of this.context.roster.all()) this.projects.joinWaiting(member, row, [shardId]);
      term.write().transition({ event: PROJECT_TRANSITIONS[change], actor });
      const answer = await shard.saved<{ seen: true }>(term, ok({ seen: true }));
      if (!answer.ok || !term.alive) return answer;
      // Another strategy orders every task anew on disk: what memory knows of places is worthless.
      if (reordered) shard.forget();
      else if (row.status === 'active') await shard.serveWaiters(term);
      return answer;
    });
  }

  private async annotatorChanged(annotatorId: AnnotatorId, actor: string): Promise<Result<{ seen: true }>> {
    try {
      const member = await this.context.roster.refresh(annotatorId);
      // Also for one who is not here now: the lanes remember where their last search ended.
      for (const shard of this.projects.allShards()) shard.term?.queue.forgetPositions(annotatorId);
      if (!member) return ok({ seen: true });
      if (member.row.status === 'banned') {
        this.context.roster.stopWaiting(member);
        for (const lease of [...member.leases.values()]) {
          const shard = this.projects.shard(lease.shardId, lease.projectId);
          const { task } = lease;
          // While the one before was saved, this one may have ended, or its term.
          if (shard.term?.leases.get(lease.id) !== lease) continue;
          endLease(shard.term, lease, {
            event: 'REVOKE',
            reason: 'annotator_banned',
            actor,
            tellHolder: true,
          });
          shard.offer(shard.term, task);
          if ((await shard.term.saved()) === 'lost') return shard.unavailable();
        }
      } else if (member.row.status === 'active') {
        // They may have become a member of something.
        for (const row of this.projects.inOrder()) this.projects.joinWaiting(member, row);
        await this.projects.serve(member);
      }
      return ok({ seen: true });
    } catch (error) {
      return this.unlessStoreIsAway(error);
    }
  }

  private tasksImported(projectId: ProjectId, shardId: ShardId): Promise<Result<{ announced: number }>> {
    const shard = this.projects.shard(shardId, projectId);
    return shard.use(async (term) => {
      const announced = await announceImports(term);
      const answer = await shard.saved(term, ok({ announced }));
      if (answer.ok && shard.waiting > 0 && term.alive) shard.inBackground(shard.serveWaiters(term));
      return answer;
    });
  }

  /** Over the shards of this node. */
  private async live(
    projectId: ProjectId,
  ): Promise<Result<{ leased: number; waiting: number; nextExpiryMs: number | null }>> {
    const live = { leased: 0, waiting: 0, nextExpiryMs: Number.POSITIVE_INFINITY };
    for (const shard of this.projects.allShards()) {
      if (shard.projectId !== projectId || !shard.term) continue;
      live.leased += shard.term.leases.size;
      live.waiting += shard.waiting;
      live.nextExpiryMs = Math.min(live.nextExpiryMs, nextExpiryMs(shard.term) ?? Number.POSITIVE_INFINITY);
    }
    return ok({ ...live, nextExpiryMs: Number.isFinite(live.nextExpiryMs) ? live.nextExpiryMs : null });
  }

  /** Another node gives this one a shard. */
  private adopt(projectId: ProjectId, shardId: ShardId): Promise<Result<{ adopted: true }>> {
    return this.projects.shard(shardId, projectId).use(async () => ok({ adopted: true as const }));
  }

  private unlessStoreIsAway(error: unknown): Refusal {
    if (!(error instanceof StoreError)) throw error;
    return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
  }

  private async onTask<T>(
    { projectId, taskId }: { projectId: ProjectId; taskId: TaskId },
    run: (term: Term, task: TaskEntry) => Result<T>,
  ): Promise<Result<T>> {
    const shard = await this.projects.findTaskShard(projectId, taskId);
    if ('code' in shard) return shard;
    return shard.use(async (term) => {
      const task = await findTask(term, taskId);
      if (!term.alive) return shard.unavailable();
      if (!task) {
        // It may have moved to another shard since it was looked for.
        const isElsewhere = (await this.context.store.shardOfTask(projectId, taskId)) !== undefined;
        return isElsewhere ? shard.unavailable() : refuse('not_found', 'There is no such task.');
      }
      const answer = run(term, task);
      term.queue.settle(task);
      shard.offer(term, task);
      return answer.ok ? shard.saved(term, answer) : answer;
    });
  }
}
