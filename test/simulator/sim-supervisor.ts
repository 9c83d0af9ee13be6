import type { ControlDoor } from '../../engine/door.ts';
import { type AssignmentId, asId } from '../../engine/ids.ts';
import type { Ledger } from './ledger.ts';
import type { Schedule } from './schedule.ts';
import type { SimDatabase } from './sim-database.ts';
import type { SimNode } from './sim-node.ts';

const ACT_MS = 1_500;
const ACTOR = 'supervisor';

/** Supervisors and imports: commands on live work, at whichever gateway, while everything else goes on. */
export class SimSupervisor {
  private readonly schedule: Schedule;
  private readonly database: SimDatabase;
  private readonly ledger: Ledger;
  private readonly random: () => number;
  private readonly gateways: () => SimNode[];
  private imports = 0;
  /** What is paused goes on, and nothing more is begun. */
  private isLeaving = false;

  constructor(args: {
    schedule: Schedule;
    database: SimDatabase;
    ledger: Ledger;
    random: () => number;
    gateways: () => SimNode[];
  }) {
    this.schedule = args.schedule;
    this.database = args.database;
    this.ledger = args.ledger;
    this.random = args.random;
    this.gateways = args.gateways;
  }

  begin(): void {
    this.schedule.at(this.random() * 2 * ACT_MS, () => {
      if (this.isLeaving) return;
      void this.act();
      this.begin();
    });
  }

  leave(): void {
    this.isLeaving = true;
    for (const { id } of this.database.projects.values()) this.tellStatus(id, 'active');
    // An import whose announcement was lost is announced again, as the command line does until it is answered.
    for (const { id } of this.database.projects.values()) this.insist((control) => control.tasksImported(id));
  }

  private async act(): Promise<void> {
    const control = this.anyDoor();
    if (!control) return;
    const luck = this.random();
    if (luck < 0.25) return this.onTask(control);
    if (luck < 0.4) return this.revoke(control);
    if (luck < 0.55) return this.pauseProject();
    if (luck < 0.75 && this.imports < 4) return this.importTasks(control);
  }

  private async onTask(control: ControlDoor): Promise<void> {
    const task = pick([...this.database.tasks.values()], this.random);
    if (!task) return;
    const { projectId, id } = task;
    const luck = this.random();
    if (luck < 0.4)
      this.ledger.answered('priority', await control.setPriority(projectId, id, Math.ceil(luck * 10), ACTOR));
    else if (luck < 0.7)
      this.ledger.answered('overlap', await control.setOverlap(projectId, id, 1 + Math.round(luck), ACTOR));
    else if (luck < 0.85) this.ledger.answered('cancel', await control.cancelTask(projectId, id, ACTOR));
    else this.ledger.answered('requeue', await control.requeueTask(projectId, id, ACTOR));
  }

  private async revoke(control: ControlDoor): Promise<void> {
    const lease = pick([...this.database.openLeases()], this.random);
    if (!lease) return;
    const ref = { projectId: lease.projectId, id: asId<AssignmentId>(lease.id) };
    this.ledger.answered('revoke', await control.revoke(ref, ACTOR));
  }

  private pauseProject(): void {
    const project = pick([...this.database.projects.values()], this.random);
    if (!project) return;
    this.tellStatus(project.id, 'paused');
    this.schedule.at(this.random() * 4_000, () => this.tellStatus(project.id, 'active'));
  }

  private tellStatus(projectId: Parameters<ControlDoor['live']>[0], status: 'active' | 'paused'): void {
    const row = this.database.projects.get(projectId);
    if (!row || row.status === status) return;
    this.database.projects.set(projectId, { ...row, status });
    const change = status === 'active' ? 'resumed' : 'paused';
    this.insist((control) => {
      // Only what holds now is said: an earlier change that is still to be told would be told too late.
      const isNow = this.database.projects.get(projectId)?.status === status;
      return isNow ? control.projectChanged(projectId, change, ACTOR) : undefined;
    });
  }

  private async importTasks(control: ControlDoor): Promise<void> {
    const project = pick([...this.database.projects.values()], this.random);
    const shardId = project && pick(project.shardIds, this.random);
    if (!project || shardId === undefined) return;
    this.imports += 1;
    this.database.addTasks(project, shardId, 1 + Math.floor(this.random() * 4));
    this.ledger.answered('import', await control.tasksImported(project.id));
  }

  /** Said again until somebody takes it, as an admin's client does after a retryable answer. */
  private insist(say: (control: ControlDoor) => Promise<{ ok: boolean }> | undefined): void {
    let isTaken = false;
    const again = (): void => {
      if (isTaken) return;
      const control = this.anyDoor();
      const said = control && say(control);
      if (control && !said) return;
      // A gateway that dies never answers.
      this.schedule.at(6_000, again);
      void said?.then((answer) => {
        isTaken ||= answer.ok;
      });
    };
    again();
  }

  private anyDoor(): ControlDoor | undefined {
    const up = this.gateways().filter((node) => node.isUp && !node.process.isDead);
    return pick(up, this.random)?.engine.control;
  }
}

function pick<T>(among: readonly T[], random: () => number): T | undefined {
  return among[Math.floor(random() * among.length)];
}
