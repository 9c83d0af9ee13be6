import type { Weakness } from '../../engine/context.ts';
import { violationsIn } from '../engine/invariants.ts';
import { seededRandom } from '../engine/random-work.ts';
import { Ledger } from './ledger.ts';
import { Schedule } from './schedule.ts';
import { SimNet } from './sim-bus.ts';
import { type DatabaseWeakness, SimDatabase } from './sim-database.ts';
import { SimNode } from './sim-node.ts';
import { SimPerson } from './sim-person.ts';
import type { SimProcess } from './sim-process.ts';
import { SimResharder } from './sim-resharder.ts';
import { connectionLost, type Wire } from './sim-store.ts';
import { SimSupervisor } from './sim-supervisor.ts';

const FAULTS_UNTIL_MS = 40_000;
const DONE_BY_MS = 300_000;
const STEPS_MAX = 400_000;
const CHECK_EVERY_MS = 1_000;
/** Far from the seeds of the runs themselves. */
const RESHARD_SEEDS = 1_000_000_007;
const LATE = ['accept', 'surplus', 'refuse'] as const;

export interface SimulationOptions {
  readonly seed: number;
  /** Protections taken out. */
  readonly without?: DatabaseWeakness | Weakness;
  /** Told of what happens, for people. */
  readonly trace?: (atMs: number, what: string) => void;
}

export interface SimulationReport {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly faults: ReadonlyMap<string, number>;
  readonly answers: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly tasks: number;
  /** Virtual time from the end of the faults until everything was done. */
  readonly settledInMs: number;
}

/** One run: a cluster, people, faults until a moment, then quiet until everything is done. Its seed is all there is to it. */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  return new Simulation(options).run();
}

class Simulation {
  private readonly schedule = new Schedule();
  private readonly random: () => number;
  private readonly database: SimDatabase;
  private readonly ledger: Ledger;
  private readonly net: SimNet;
  private readonly nodes: SimNode[] = [];
  private readonly people: SimPerson[] = [];
  private readonly faults = new Map<string, number>();
  private readonly options: SimulationOptions;
  private isFaulty = true;
  private databaseAwayUntilMs = 0;
  private readonly supervisor: SimSupervisor;
  private readonly resharder: SimResharder;
  /** Processes whose way to the database is cut, and until when. */
  private readonly cutOffUntilMs = new Map<SimProcess, number>();
  private started = 0;

  constructor(options: SimulationOptions) {
    this.options = options;
    const { without } = options;
    this.random = seededRandom(options.seed);
    this.database = new SimDatabase({
      nowMs: () => this.schedule.nowMs,
      without: isOfDatabase(without) ? [without] : [],
    });
    this.ledger = new Ledger(this.database);
    this.net = new SimNet(() => this.fateOfMessage());
    const { schedule, database, ledger, random } = this;
    this.supervisor = new SimSupervisor({ schedule, database, ledger, random, gateways: () => this.nodes });
    this.resharder = new SimResharder({
      schedule,
      database,
      ledger,
      random: seededRandom(options.seed + RESHARD_SEEDS),
      gateways: () => this.nodes,
      note: (detail) => this.note('reshard', detail),
    });
  }

  async run(): Promise<SimulationReport> {
    this.populate();
    this.resharder.begin();
    const engines = 2 + Math.floor(this.random() * 2);
    for (let i = 0; i < engines; i++) this.startNode(['gateway', 'engine']);
    if (this.random() < 0.5) this.startNode(['gateway']);
    for (const person of this.people) person.begin();
    this.supervisor.begin();
    this.nextFault();
    await this.stepUntil(FAULTS_UNTIL_MS);
    this.endFaults();
    await this.stepUntil(DONE_BY_MS, () => this.isDone());
    this.checkEnd();
    return {
      seed: this.options.seed,
      problems: [...this.ledger.problems],
      faults: this.faults,
      answers: this.ledger.tally,
      steps: this.schedule.steps,
      tasks: this.database.tasks.size,
      settledInMs: this.schedule.nowMs - FAULTS_UNTIL_MS,
    };
  }

  private populate(): void {
    const projects = 1 + Math.floor(this.random() * 4);
    for (let i = 0; i < projects; i++) {
      const project = this.database.addProject(
        {
          overlap: 1 + Math.floor(this.random() * 3),
          heartbeatMs: 6_000,
          reconnectGraceMs: 4_000,
          maxDurationMs: 20_000,
          maxAttempts: 100,
          startedFirst: this.random() < 0.5,
          offerMs: this.random() < 0.3 ? 3_000 : 0,
          lateSubmit: LATE[Math.floor(this.random() * LATE.length)] ?? 'accept',
        },
        1 + Math.floor(this.random() * 2),
      );
      for (const shardId of project.shardIds)
        this.database.addTasks(project, shardId, 3 + Math.floor(this.random() * 12));
    }
    const people = 5 + Math.floor(this.random() * 5);
    for (let i = 0; i < people; i++) {
      const id = this.database.addAnnotator(1 + Math.floor(this.random() * 3));
      const { schedule, ledger, random } = this;
      const tabs = this.random() < 0.25 ? 2 : 1;
      for (let tab = 1; tab <= tabs; tab++)
        this.people.push(new SimPerson({ id, tab, schedule, ledger, random, gateways: () => this.nodes }));
    }
  }

  private startNode(roles: SimNode['roles']): void {
    const { without } = this.options;
    this.started += 1;
    const node = new SimNode({
      name: `${roles.join('+')}-${this.started}`,
      roles,
      without: isOfEngine(without) ? [without] : [],
      schedule: this.schedule,
      database: this.database,
      net: this.net,
      random: this.random,
      wireOf: (process) => this.wireOf(process),
      onPush: (from, to, push) => {
        // To the socket, and over the network.
        this.schedule.at(1 + this.random() * 5, () => {
          if (from.process.isDead) return;
          for (const person of this.people) if (person.id === to) person.pushed(from, push);
        });
      },
      onIncident: ({ kind, error, detail }, name) => {
        this.trace(`${name}: ${kind} ${detail ?? ''} ${error instanceof Error ? error.message : ''}`);
        const isBug =
          error instanceof Error && error.name !== 'StoreError' && !/connection|twice/.test(error.message);
        if (isBug) this.ledger.problems.push(`${name}: ${kind}: ${error.stack}`);
      },
    });
    this.nodes.push(node);
    this.trace(`${node.name} starts`);
    void node.start();
  }

  /** Something goes wrong now and then. */
  private nextFault(): void {
    this.schedule.at(300 + this.random() * 5_000, () => {
      if (!this.isFaulty) return;
      this.fault();
      this.nextFault();
    });
  }

  private fault(): void {
    const alive = this.nodes.filter((node) => !node.process.isDead);
    const node = alive[Math.floor(this.random() * alive.length)];
    const luck = this.random();
    if (node && luck < 0.25) this.crash(node);
    else if (node && luck < 0.5)
      this.stall(node, this.random() < 0.5 ? 200 + this.random() * 1_500 : 3_000 + this.random() * 5_000);
    else if (node && luck < 0.65) this.stopGracefully(node);
    else if (luck < 0.75) this.cutBus(this.random() * 4_000);
    else if (luck < 0.84) this.databaseAway(this.random() * 4_000);
    else if (node && luck < 0.92) this.cutOff(node, this.random() * 6_000);
    else if (alive.length < 5) {
      this.note('join');
      this.startNode(['gateway', 'engine']);
    }
  }

  private crash(node: SimNode): void {
    this.note('crash', node.name);
    node.process.kill();
    this.net.buses.delete(node.name);
    this.gone(node);
    this.schedule.at(this.random() * 4_000, () => this.startNode(node.roles));
  }

  private stall(node: SimNode, ms: number): void {
    this.note(ms > 3_000 ? 'stop' : 'stall', `${node.name} for ${Math.round(ms)} ms`);
    node.process.stopFor(ms);
  }

  private stopGracefully(node: SimNode): void {
    this.note('drain', node.name);
    node.isUp = false;
    this.gone(node);
    const over = () => {
      node.process.kill();
      this.net.buses.delete(node.name);
      this.trace(`${node.name} has stopped`);
      this.startNode(node.roles);
    };
    void node.engine.stop().then(over, over);
  }

  /** Its sockets are closed; the clients see it a moment later. */
  private gone(node: SimNode): void {
    for (const person of this.people) this.schedule.at(this.random() * 500, () => person.lostGateway(node));
  }

  private cutBus(ms: number): void {
    if (this.net.isCut) return;
    this.note('bus away', `for ${Math.round(ms)} ms`);
    this.net.isCut = true;
    this.schedule.at(ms, () => this.net.mend());
  }

  private databaseAway(ms: number): void {
    this.note('database away', `for ${Math.round(ms)} ms`);
    this.databaseAwayUntilMs = this.schedule.nowMs + ms;
  }

  /** Only this process cannot reach the database; the others take what it had. */
  private cutOff(node: SimNode, ms: number): void {
    this.note('cut off', `${node.name} for ${Math.round(ms)} ms`);
    this.cutOffUntilMs.set(node.process, this.schedule.nowMs + ms);
  }

  private endFaults(): void {
    this.trace('the faults end');
    this.isFaulty = false;
    this.databaseAwayUntilMs = 0;
    this.cutOffUntilMs.clear();
    this.supervisor.leave();
    this.resharder.leave();
    if (this.net.isCut) this.net.mend();
    for (const person of this.people) person.isSteady = true;
    if (!this.nodes.some((node) => !node.process.isDead && node.roles.includes('engine')))
      this.startNode(['gateway', 'engine']);
  }

  private wireOf(process: SimProcess): Wire {
    // The request is on its way whatever becomes of who sent it; the answer needs somebody to hear it.
    const there = (ms: number) => this.schedule.pass(ms);
    const back = (ms: number) => new Promise<void>((resolve) => process.run(ms, resolve));
    const isAway = () =>
      this.schedule.nowMs < Math.max(this.databaseAwayUntilMs, this.cutOffUntilMs.get(process) ?? 0);
    return {
      there: async () => {
        const isSlow = this.isFaulty && this.random() < 0.004;
        await there(isSlow ? 1_000 + this.random() * 6_000 : 0.1 + this.random() * 2);
        if (isAway() || (this.isFaulty && this.random() < 0.003)) {
          await back(1);
          throw connectionLost();
        }
      },
      back: async () => {
        await back(0.1 + this.random() * 2);
        if (isAway() || (this.isFaulty && this.random() < 0.003)) throw connectionLost();
      },
      straggle: (run) => {
        if (this.random() < 0.3) return;
        this.schedule.at(this.random() * 3_000, () => {
          this.note('late commit');
          run();
        });
      },
    };
  }

  private fateOfMessage(): number[] {
    const delay = () => 0.1 + this.random() * 1.5;
    if (!this.isFaulty) return [delay()];
    const luck = this.random();
    if (luck < 0.01) return [];
    if (luck < 0.02) return [delay(), delay() + this.random() * 500];
    return [luck < 0.06 ? this.random() * 800 : delay()];
  }

  private async stepUntil(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    let checkedMs = this.schedule.nowMs;
    while (this.schedule.steps < STEPS_MAX) {
      const goesOn = await this.schedule.step(untilMs);
      this.ledger.look();
      if (this.ledger.problems.length > 0 || !goesOn) return;
      if (this.schedule.nowMs - checkedMs < CHECK_EVERY_MS) continue;
      checkedMs = this.schedule.nowMs;
      this.ledger.problems.push(...violationsIn(this.database.rows()));
      if (isDone()) return;
    }
    this.ledger.problems.push(`not over after ${STEPS_MAX} steps`);
  }

  private isDone(): boolean {
    return this.left().length === 0;
  }

  /** Tasks that somebody could still do. */
  private left(): number[] {
    const people = new Set(this.people.map((person) => person.id)).size;
    return [...this.database.tasks.values()]
      .filter((task) => task.state === 'waiting' || task.state === 'held')
      .filter((task) => task.had.length < people)
      .map((task) => task.id);
  }

  /** Liveness: nothing is left that somebody could do. */
  private checkEnd(): void {
    const { problems } = this.ledger;
    problems.push(...violationsIn(this.database.rows()));
    const left = this.left();
    if (problems.length === 0 && left.length > 0)
      problems.push(`I5: ${left.length} tasks are left: ${left.join(', ')}`);
  }

  private note(fault: string, detail = ''): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
    this.trace(`${fault} ${detail}`);
  }

  private trace(what: string): void {
    this.options.trace?.(this.schedule.nowMs, what);
  }
}

/** The lookup of a repeated request has two halves: what a node remembers, and the index. */
function isOfDatabase(without: SimulationOptions['without']): without is DatabaseWeakness {
  return without === 'fence' || without === 'capacity' || without === 'idempotency';
}

function isOfEngine(without: SimulationOptions['without']): without is Weakness {
  return without === 'stale_timer' || without === 'takeover_grace' || without === 'idempotency';
}
