import type { ControlDoor } from '../../engine/door.ts';
import type { ProjectId } from '../../engine/ids.ts';
import type { Ledger } from './ledger.ts';
import type { Schedule } from './schedule.ts';
import type { SimDatabase } from './sim-database.ts';
import type { SimNode } from './sim-node.ts';
import { moveStrays, setShards } from './sim-shards.ts';

const EVERY_MS = 8_000;
const SHARDS_MAX = 4;
const STRETCH_TASKS = 3;
const TELL_MS = 2_000;
const ACTOR = 'admin';

/**
 * Admins who change how many shards a project has, as the HTTP API does it: the setting, the owners are told, tasks move a
 * stretch at a time, the owners are told. Now and then the process that does it dies in the middle; a while later, or
 * never, somebody says the same again.
 */
export class SimResharder {
  private readonly schedule: Schedule;
  private readonly database: SimDatabase;
  private readonly ledger: Ledger;
  private readonly random: () => number;
  private readonly gateways: () => SimNode[];
  private readonly note: (detail: string) => void;
  private isLeaving = false;

  /** @param args.random of its own: it takes nothing from the course of the rest. */
  constructor(args: {
    schedule: Schedule;
    database: SimDatabase;
    ledger: Ledger;
    random: () => number;
    gateways: () => SimNode[];
    note: (detail: string) => void;
  }) {
    this.schedule = args.schedule;
    this.database = args.database;
    this.ledger = args.ledger;
    this.random = args.random;
    this.gateways = args.gateways;
    this.note = args.note;
  }

  /** Before anything else is. */
  begin(): void {
    for (const [id, row] of this.database.projects) {
      const settings = { ...row.settings, shards: row.shardIds.length };
      const strategy = this.random() < 0.3 ? 'sequential' : row.settings.strategy;
      this.database.projects.set(id, { ...row, settings: { ...settings, strategy } });
    }
    this.next();
  }

  leave(): void {
    this.isLeaving = true;
  }

  private next(): void {
    this.schedule.at(this.random() * 2 * EVERY_MS, () => {
      if (this.isLeaving) return;
      const ids = [...this.database.projects.keys()];
      const projectId = ids[Math.floor(this.random() * ids.length)];
      if (projectId !== undefined) void this.reshard(projectId, 1 + Math.floor(this.random() * SHARDS_MAX));
      this.next();
    });
  }

  private async reshard(projectId: ProjectId, count: number): Promise<void> {
    this.note(`project ${projectId} to ${count} shards`);
    setShards(this.database, projectId, count);
    await this.pause();
    await this.tell((control) => control.projectChanged(projectId, 'settings', ACTOR));
    let total = 0;
    for (const shardId of this.database.projects.get(projectId)?.shardIds ?? []) {
      for (;;) {
        await this.pause();
        const moved = moveStrays(this.database, { projectId, shardId, count, limit: STRETCH_TASKS });
        if (moved === 0) break;
        total += moved;
        if (this.random() < 0.1) return this.died(projectId, count);
        await this.tell((control) => control.tasksImported(projectId));
      }
    }
    if (total > 0) await this.tell((control) => control.projectChanged(projectId, 'settings', ACTOR));
  }

  private died(projectId: ProjectId, count: number): void {
    this.note('and dies');
    this.schedule.at(this.random() * EVERY_MS, () => {
      if (this.isLeaving || this.random() < 0.5) return;
      void this.reshard(projectId, count);
    });
  }

  /** Through whichever gateway; one that dies never answers. */
  private async tell(
    say: (
      control: ControlDoor,
    ) => ReturnType<ControlDoor['projectChanged']> | ReturnType<ControlDoor['tasksImported']>,
  ): Promise<void> {
    const up = this.gateways().filter((node) => node.isUp && !node.process.isDead);
    const control = up[Math.floor(this.random() * up.length)]?.engine.control;
    if (!control) return;
    const said = say(control).then((answer) => this.ledger.answered('reshard', answer));
    await Promise.race([said, this.schedule.pass(TELL_MS)]);
  }

  private pause(): Promise<void> {
    return this.schedule.pass(1 + this.random() * 60);
  }
}
