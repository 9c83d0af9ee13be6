import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { CallFailure, type ChaosCluster } from './chaos-cluster.ts';
import type { Dice } from './dice.ts';
import { Person } from './person.ts';
import type { Recorder } from './recorder.ts';
import { SilentPerson } from './silent-person.ts';

const madeAnnotator = z.object({ id: z.union([z.number(), z.string()]).transform(Number) });
const madeToken = z.object({ token: z.string() });
const CALLS_MAX = 20;
const AGAIN_MS = 300;

/** Everybody who works in a campaign. */
export class Crowd {
  readonly failures: string[] = [];
  private readonly people: Person[] = [];
  private readonly silent: SilentPerson[] = [];
  private working: Promise<unknown> = Promise.resolve();

  /** Makes them known to the cluster. One in ten has two tabs open, one in fifteen is a broken client. */
  static async create(args: {
    cluster: ChaosCluster;
    recorder: Recorder;
    dice: Dice;
    size: number;
  }): Promise<Crowd> {
    const { cluster, recorder, dice } = args;
    const crowd = new Crowd();
    const gateways = cluster
      .gateways()
      .map((node) => node.fromClients?.url)
      .filter((url) => url !== undefined);
    for (let i = 1; i <= args.size; i++) {
      const name = `person-${i}`;
      const capacity = 1 + Math.floor(dice.between(0, 3));
      const made = madeAnnotator.parse(
        await persistently(cluster, '/api/annotators', { externalId: name, name, capacity }),
      );
      const { token } = madeToken.parse(await persistently(cluster, `/api/annotators/${made.id}/tokens`, {}));
      const common = { name, annotatorId: made.id, token, gateways, recorder, dice: dice.fork() };
      if (i % 15 === 14) crowd.silent.push(new SilentPerson(common));
      else crowd.people.push(new Person({ ...common, capacity, tabs: i % 10 === 9 ? 2 : 1 }));
    }
    return crowd;
  }

  start(): void {
    const all = [...this.people, ...this.silent].map((person) =>
      person.work().catch((error: unknown) => {
        this.failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }),
    );
    this.working = Promise.all(all);
  }

  /** No more whims: what is there shall be done. */
  becomeSteady(): void {
    for (const person of this.people) person.becomeSteady();
    for (const person of this.silent) person.stop();
  }

  /** All close their pages at once, and are back after so long, all at once. */
  goAway(ms: number): void {
    for (const person of this.people) person.goAway(ms);
  }

  /** Settles when all have left. */
  async stop(): Promise<void> {
    for (const person of [...this.people, ...this.silent]) person.stop();
    await this.working;
  }

  reconnectsMs(): number[] {
    return this.people.flatMap((person) => person.reconnectsMs);
  }
}

/** Before the faults: the first calls may meet nodes that are not ready for them. */
export async function persistently(cluster: ChaosCluster, path: string, body: unknown): Promise<unknown> {
  for (let calls = 1; ; calls++) {
    try {
      return await cluster.call('POST', path, body);
    } catch (error) {
      if (!(error instanceof CallFailure) || calls >= CALLS_MAX) throw error;
      await delay(AGAIN_MS);
    }
  }
}
