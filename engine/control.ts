import type { EngineContext } from './context.ts';
import type { ControlDoor, ProjectLive } from './door.ts';
import type { AnnotatorId, AssignmentRef, ProjectId, TaskId } from './ids.ts';
import type { Projects } from './projects.ts';
import { ok, type Refusal, type Result, refuse } from './refusals.ts';
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
import type { Shard } from './shard/shard.ts';
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
export class Control implements ControlDoor {
  private readonly context: EngineContext;
  private readonly projects: Projects;

  constructor(context: EngineContext, projects: Projects) {
    this.context = context;
    this.projects = projects;
  }

  cancelTask(projectId: ProjectId, taskId: TaskId, actor: string): Promise<Result<{ state: string }>> {
    return this.onTask(projectId, taskId, (term, task) => cancelTask(term, task, actor));
  }

  requeueTask(projectId: ProjectId, taskId: TaskId, actor: string): Promise<Result<{ state: string }>> {
    return this.onTask(projectId, taskId, (term, task) => requeueTask(term, task, actor));
  }

  setPriority(
    projectId: ProjectId,
    taskId: TaskId,
    priority: number,
    actor: string,
  ): Promise<Result<{ priority: number }>> {
    return this.onTask(projectId, taskId, (term, task) => setPriority(term, task, priority, actor));
  }

  setOverlap(
    projectId: ProjectId,
    taskId: TaskId,
    overlap: number,
    actor: string,
  ): Promise<Result<{ state: string }>> {
    return this.onTask(projectId, taskId, (term, task) => setOverlap(term, task, overlap, actor));
  }

  revoke(ref: AssignmentRef, actor: string, note?: string): Promise<Result<{ ended: true }>> {
    return this.inShard<{ ended: true }>(ref.projectId, async (shard, term) => {
      const lease = term.leases.get(ref.id);
      if (!lease) {
        const row = term.ended.get(ref.id) ?? (await this.context.store.readAssignment(ref));
        if (!row) return refuse('not_found', 'There is no such assignment.');
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
      shard.offer(term, task);
      return shard.saved(term, ok({ ended: true }));
    });
  }

  async projectCreated(projectId: ProjectId): Promise<Result<{ seen: true }>> {
    try {
      const row = await this.projects.refresh(projectId);
      if (!row) return refuse('not_found', 'There is no such project.');
      for (const member of this.context.roster.all()) this.projects.joinWaiting(member, row);
      return ok({ seen: true });
    } catch (error) {
      return this.unlessStoreIsAway(error);
    }
  }

  projectChanged(
    projectId: ProjectId,
    change: keyof typeof PROJECT_TRANSITIONS,
    actor: string,
  ): Promise<Result<{ seen: true }>> {
    return this.inShard<{ seen: true }>(projectId, async (shard, term) => {
      const row = await this.projects.refresh(projectId);
      if (!row || !term.alive) return shard.unavailable();
      const reordered = row.settings.strategy !== term.project.settings.strategy;
      changeSettings(term, row);
      term.write().transition({ event: PROJECT_TRANSITIONS[change], actor });
      const answer = await shard.saved<{ seen: true }>(term, ok({ seen: true }));
      if (!answer.ok || !term.alive) return answer;
      // Another strategy orders every task anew on disk: what memory knows of places is worthless.
      if (reordered) shard.forget();
      else if (row.status === 'active') await shard.serveWaiters(term);
      return answer;
    });
  }

  async annotatorChanged(annotatorId: AnnotatorId, actor: string): Promise<Result<{ seen: true }>> {
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

  tasksImported(projectId: ProjectId): Promise<Result<{ announced: number }>> {
    return this.inShard(projectId, async (shard, term) => {
      const announced = await announceImports(term);
      const answer = await shard.saved(term, ok({ announced }));
      if (answer.ok && shard.waiting > 0 && term.alive) shard.inBackground(shard.serveWaiters(term));
      return answer;
    });
  }

  async live(projectId: ProjectId): Promise<ProjectLive> {
    const shard = await this.projects.findShard(projectId);
    if ('code' in shard) return { leased: 0, waitingAnnotators: 0, nextExpiryMs: null };
    const { term } = shard;
    return {
      leased: term?.leases.size ?? 0,
      waitingAnnotators: shard.waiting,
      nextExpiryMs: term ? nextExpiryMs(term) : null,
    };
  }

  private unlessStoreIsAway(error: unknown): Refusal {
    if (!(error instanceof StoreError)) throw error;
    return refuse('unavailable', undefined, { retryAfterMs: this.context.limits.retryAfterMs });
  }

  private onTask<T>(
    projectId: ProjectId,
    taskId: TaskId,
    run: (term: Term, task: TaskEntry) => Result<T>,
  ): Promise<Result<T>> {
    return this.inShard(projectId, async (shard, term) => {
      const task = await findTask(term, taskId);
      if (!term.alive) return shard.unavailable();
      if (!task) return refuse('not_found', 'There is no such task.');
      const answer = run(term, task);
      term.queue.settle(task);
      shard.offer(term, task);
      return answer.ok ? shard.saved(term, answer) : answer;
    });
  }

  private async inShard<T>(
    projectId: ProjectId,
    run: (shard: Shard, term: Term) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const shard = await this.projects.findShard(projectId);
    return 'code' in shard ? shard : shard.use((term) => run(shard, term));
  }
}
