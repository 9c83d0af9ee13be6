import type { Weakness } from '../../engine/context.ts';
import type { AnnotatorPush } from '../../engine/door.ts';
import type { AnnotatorId } from '../../engine/ids.ts';
import { createEngine, type Engine, type Incident } from '../../engine/index.ts';
import type { NodeRole, Store } from '../../engine/store/store.ts';
import type { Schedule } from './schedule.ts';
import { SimBus, type SimNet } from './sim-bus.ts';
import type { SimDatabase } from './sim-database.ts';
import { SimProcess } from './sim-process.ts';
import { simStore, type Wire } from './sim-store.ts';

export interface SimNodeOptions {
  readonly name: string;
  readonly roles: readonly NodeRole[];
  readonly without: readonly Weakness[];
  readonly schedule: Schedule;
  readonly database: SimDatabase;
  readonly net: SimNet;
  readonly random: () => number;
  readonly wireOf: (process: SimProcess) => Wire;
  readonly onPush: (node: SimNode, to: AnnotatorId, push: AnnotatorPush) => void;
  readonly onIncident: (incident: Incident, name: string) => void;
}

/** One process of the cluster: the real engine, over simulated time, database and network. */
export class SimNode {
  readonly name: string;
  readonly roles: readonly NodeRole[];
  readonly process: SimProcess;
  readonly engine: Engine;
  readonly store: Store;
  isUp = false;

  constructor(options: SimNodeOptions) {
    const { schedule, random } = options;
    this.name = options.name;
    this.roles = options.roles;
    // Clocks of real machines differ by parts in a million; this is far worse, and within the margin of a term.
    this.process = new SimProcess(schedule, 0.98 + random() * 0.04);
    this.store = simStore(options.database, options.wireOf(this.process));
    this.engine = createEngine({
      store: this.store,
      nodeName: options.name,
      version: 'sim',
      roles: options.roles,
      without: options.without,
      bus: new SimBus(options.net, this.process, options.name),
      clock: this.process,
      random,
      limits: { windowRows: 8, deepRows: 4 },
      onIncident: (incident) => options.onIncident(incident, options.name),
    });
    this.engine.onPush((to, push) => options.onPush(this, to, push));
  }

  /** Tries until it works, as a process supervisor does. */
  async start(): Promise<void> {
    while (!this.isUp && !this.process.isDead) {
      try {
        await this.engine.start();
        this.isUp = true;
      } catch {
        // The database is away: the supervisor starts it again.
        await new Promise<void>((resolve) => this.process.run(500, resolve));
      }
    }
  }
}
