import { setTimeout as delay } from 'node:timers/promises';
import type { Dice } from './dice.ts';
import { FAULT_KINDS, type FaultKind, type World } from './faults.ts';
import { monotonicMs } from './history.ts';
import type { Recorder } from './recorder.ts';

/** Between the beginnings of two faults, in ms. */
export const DEFAULT_PACE = { leastMs: 2_500, mostMs: 6_500 } as const;
/** Faults at the same time at most: they overlap, and some of the cluster is still there. */
const AT_ONCE_MAX = 4;
/** How soon it is looked again when there are so many, in ms. */
const LOOK_AGAIN_MS = 500;
const PICKS_MAX = 20;
/** All faults have ended so long after the last began, or the campaign itself is at fault. */
const ENDED_WITHIN_MS = 120_000;

/** Lets things go wrong, one after the other and sometimes together, as the seed says. */
export class FaultSchedule {
  readonly failures: string[] = [];
  private readonly active = new Map<string, Promise<void>>();
  private readonly world: World;
  private readonly recorder: Recorder;
  private readonly dice: Dice;
  private readonly pace: { readonly leastMs: number; readonly mostMs: number };

  constructor(args: {
    world: World;
    recorder: Recorder;
    dice: Dice;
    pace: { readonly leastMs: number; readonly mostMs: number };
  }) {
    this.world = args.world;
    this.pace = args.pace;
    this.recorder = args.recorder;
    this.dice = args.dice;
  }

  /** For so long; settles when every fault has ended. @throws when one does not. */
  async run(ms: number): Promise<void> {
    const endMs = monotonicMs() + ms;
    for (;;) {
      const pauseMs = this.dice.between(this.pace.leastMs, this.pace.mostMs);
      if (monotonicMs() + pauseMs >= endMs) break;
      await delay(pauseMs);
      while (this.active.size >= AT_ONCE_MAX && monotonicMs() < endMs) await delay(LOOK_AGAIN_MS);
      this.begin();
    }
    await delay(Math.max(0, endMs - monotonicMs()));
    const late = delay(ENDED_WITHIN_MS, 'late' as const, { ref: false });
    const all = Promise.all(this.active.values());
    if ((await Promise.race([all, late])) === 'late')
      throw new Error(`faults do not end: ${[...this.active.keys()].join(', ')}`);
  }

  private begin(): void {
    for (let picks = 0; picks < PICKS_MAX; picks++) {
      const kind = this.pickKind();
      const fault = kind?.plan(this.world, this.dice);
      // One thing at a time per victim: what the second does would undo the first.
      if (!kind || !fault || this.active.has(fault.victim)) continue;
      const startMs = monotonicMs();
      const { victim, detail } = fault;
      const running = fault
        .run()
        .catch((error: unknown) => this.failed(`${kind.name} of ${victim}`, error))
        .finally(() => {
          this.active.delete(victim);
          const line = { t: 'fault' as const, kind: kind.name, victim, startMs, endMs: monotonicMs() };
          this.recorder.write(detail === undefined ? line : { ...line, detail });
        });
      this.active.set(victim, running);
      return;
    }
  }

  private pickKind(): FaultKind | undefined {
    const total = FAULT_KINDS.reduce((sum, kind) => sum + kind.weight, 0);
    let luck = this.dice.between(0, total);
    return FAULT_KINDS.find((kind) => {
      luck -= kind.weight;
      return luck < 0;
    });
  }

  /** A fault may meet another that makes it impossible, such as a query to a Postgres that is away. */
  private failed(what: string, error: unknown): void {
    this.failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
