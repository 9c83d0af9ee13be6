import { setTimeout as delay } from 'node:timers/promises';
import { type Assignment, BatonClient, BatonError, type JsonValue } from '../../client/index.ts';
import type { Dice } from './dice.ts';
import { monotonicMs } from './history.ts';
import type { Recorder } from './recorder.ts';

/** Without a live connection for so long, a person opens the page anew, which leads to another gateway, in ms. */
const PATIENCE_MS = 2_500;
const TIMES = {
  ackTimeoutMs: 4_000,
  patienceMs: 15_000,
  submitPatienceMs: 20_000,
  backoffBaseMs: 100,
  backoffMaxMs: 1_000,
  autosaveMs: 50,
} as const;

/** How somebody works; times in ms. */
export interface Manner {
  readonly thinkMs: readonly [number, number];
  /** Shares of assignments that are not simply answered; the rest are. */
  readonly vanish: number;
  readonly skip: number;
  readonly release: number;
  readonly dawdle: number;
  readonly repeat: number;
  readonly draft: number;
  /** How long who dawdles waits at most: past every lease. */
  readonly dawdleMs: number;
}

export const WHIMSICAL: Manner = {
  thinkMs: [600, 4_000],
  vanish: 0.04,
  skip: 0.02,
  release: 0.03,
  dawdle: 0.02,
  repeat: 0.05,
  draft: 0.35,
  dawdleMs: 34_000,
};

/** When everything shall come to its end. */
export const STEADY: Manner = {
  thinkMs: [50, 300],
  vanish: 0,
  skip: 0,
  release: 0,
  dawdle: 0,
  repeat: 0,
  draft: 0,
  dawdleMs: 0,
};

export interface PersonArgs {
  readonly name: string;
  readonly annotatorId: number;
  readonly token: string;
  /** Assignments worked on at once, in one tab. */
  readonly capacity: number;
  /** Two: the same person in two tabs, at two gateways. */
  readonly tabs: 1 | 2;
  readonly gateways: readonly string[];
  readonly dice: Dice;
  readonly recorder: Recorder;
}

/** Somebody with one or two tabs of a real client, who answers, and does what people do. */
export class Person {
  private manner: Manner = WHIMSICAL;
  /** From a connection that went, to the next one of the same tab whose state was known, at whatever gateway, in ms. */
  readonly reconnectsMs: number[] = [];
  private readonly args: PersonArgs;
  private readonly stopping = new AbortController();
  /** Whatever they dawdle over is over, too. */
  private readonly hurrying = new AbortController();
  private awayUntilMs = 0;
  /** Since when tabs have no connection, unless they were closed by the person. */
  private readonly lostMs = new Map<string, number>();
  private texts = 0;
  private readonly pages = new Set<BatonClient>();

  constructor(args: PersonArgs) {
    this.args = args;
  }

  /** Until `stop`. @throws what is no error of the protocol. */
  async work(): Promise<void> {
    await Promise.all(Array.from({ length: this.args.tabs }, (_, i) => this.tab(i)));
  }

  /** From now on they only work. */
  becomeSteady(): void {
    this.manner = STEADY;
    this.awayUntilMs = 0;
    this.hurrying.abort();
  }

  /** Closes everything at once and comes back after so long. */
  goAway(ms: number): void {
    this.awayUntilMs = monotonicMs() + ms;
    this.lostMs.clear();
    for (const page of this.pages) page.close();
  }

  stop(): void {
    this.stopping.abort();
    for (const page of this.pages) page.close();
  }

  /** A tab: one page after the other, each until it is closed, whatever was being thought about in it. */
  private async tab(index: number): Promise<void> {
    const { dice, capacity } = this.args;
    const desks = new Set<Promise<void>>();
    for (let pages = index; !this.stopping.signal.aborted; pages++) {
      await this.pause(Math.max(0, this.awayUntilMs - monotonicMs()));
      if (this.stopping.signal.aborted) break;
      const page = this.open(`${this.args.name}.${index}`, pages);
      const closed = new Promise<void>((resolve) => {
        page.on('connection', ({ status }) => status === 'closed' && resolve());
      });
      for (let i = 0; i < capacity; i++) {
        const desk = this.desk(page);
        desks.add(desk);
        // One that failed stays, and is heard below.
        desk.then(
          () => desks.delete(desk),
          () => undefined,
        );
      }
      await Promise.race([closed, ...[...desks].map((desk) => desk.then(() => closed))]);
      this.pages.delete(page);
      await this.pause(dice.between(50, 500));
    }
    await Promise.all(desks);
  }

  private open(tab: string, count: number): BatonClient {
    const { gateways, token, recorder, annotatorId, dice } = this.args;
    const url = gateways[(annotatorId + count) % gateways.length];
    if (url === undefined) throw new Error('there is no gateway');
    const page = new BatonClient({
      url,
      token,
      ...TIMES,
      surroundings: { random: () => dice.between(0, 1) },
      onTraffic: recorder.tap(annotatorId, tab),
    });
    this.pages.add(page);
    this.watch(page, tab);
    page.connect().catch((error: unknown) => rethrowUnlessOurs(error));
    return page;
  }

  /** Closes the page when it has had no connection for long. */
  private watch(page: BatonClient, tab: string): void {
    const { recorder, annotatorId } = this.args;
    let isFirstLoss = true;
    let impatient = setTimeout(() => page.close(), PATIENCE_MS * 2);
    page.on('connection', ({ status, error }) => {
      const line = { t: 'connection' as const, annotator: annotatorId, tab, atMs: monotonicMs(), status };
      recorder.write(error === undefined ? line : { ...line, code: error.code });
      if (status === 'live') {
        clearTimeout(impatient);
        const lostMs = this.lostMs.get(tab);
        if (lostMs !== undefined) this.reconnectsMs.push(monotonicMs() - lostMs);
        this.lostMs.delete(tab);
        isFirstLoss = true;
      } else if (status === 'closed') {
        clearTimeout(impatient);
      } else if (isFirstLoss && status === 'offline') {
        isFirstLoss = false;
        if (!this.lostMs.has(tab)) this.lostMs.set(tab, monotonicMs());
        clearTimeout(impatient);
        impatient = setTimeout(() => page.close(), PATIENCE_MS);
      }
    });
  }

  /** One assignment after the other, until the page is closed. */
  private async desk(page: BatonClient): Promise<void> {
    let given: Assignment | undefined;
    while (page.status !== 'closed') {
      try {
        const work = given ?? (await page.nextAssignment());
        given = undefined;
        given = await this.handle(page, work);
      } catch (error) {
        rethrowUnlessOurs(error);
        if (isGivenUp(error)) page.close();
        else await this.pause(this.args.dice.between(300, 2_000));
      }
    }
  }

  /** @returns the next one, if it came with the answer. */
  private async handle(page: BatonClient, work: Assignment): Promise<Assignment | undefined> {
    const { dice } = this.args;
    const { manner } = this;
    if (dice.chance(manner.draft)) page.saveDraft(work.id, this.answer(work));
    await this.pause(dice.between(...manner.thinkMs));
    let luck = dice.between(0, 1);
    const falls = (share: number): boolean => {
      const hit = luck >= 0 && luck < share;
      luck -= share;
      return hit;
    };
    if (falls(manner.vanish)) return this.vanish();
    if (falls(manner.skip)) return this.giveBack(page.skip(work.id), 'skip');
    if (falls(manner.release)) return this.giveBack(page.release(work.id), 'release');
    if (falls(manner.dawdle)) return this.dawdle(page, work);
    if (falls(manner.repeat)) return this.repeat(page, work);
    const { next } = await page.submit(work.id, this.answer(work), { next: dice.chance(0.5) });
    return next && 'assignment' in next ? next.assignment : undefined;
  }

  /** Closes the laptop in the middle of everything, and opens it again after a while. */
  private async vanish(): Promise<undefined> {
    this.whim('vanish');
    this.goAway(this.args.dice.between(200, 12_000));
  }

  private async giveBack(call: Promise<void>, kind: string): Promise<undefined> {
    this.whim(kind);
    await call;
  }

  /** Sits over it until the lease is over, and hands it in all the same. */
  private async dawdle(page: BatonClient, work: Assignment): Promise<undefined> {
    this.whim('dawdle');
    const over = new Promise<void>((resolve) => {
      page.on('revoked', ({ assignmentId }) => assignmentId === work.id && resolve());
    });
    await Promise.race([over, this.pause(this.manner.dawdleMs)]);
    await page.submit(work.id, this.answer(work));
  }

  /** Hands in from a second tab at another gateway at the same time, under the same id or another. */
  private async repeat(page: BatonClient, work: Assignment): Promise<undefined> {
    this.whim('repeat');
    const { gateways, token, recorder, annotatorId, dice, name } = this.args;
    const url = dice.pick(gateways);
    if (url === undefined) return;
    const ids: string[] = [];
    const tap = recorder.tap(annotatorId, `${name}.again`);
    const submissionId = `${work.id}-again-${++this.texts}`;
    const again = new BatonClient({
      url,
      token,
      ...TIMES,
      surroundings: { newId: () => ids.shift() ?? submissionId },
      onTraffic: tap,
    });
    this.pages.add(again);
    again.connect().catch((error: unknown) => rethrowUnlessOurs(error));
    const result = this.answer(work);
    const outcomes = await Promise.allSettled([
      page.submit(work.id, result),
      again.submit(work.id, result),
      again.submit(work.id, result),
    ]);
    again.close();
    this.pages.delete(again);
    for (const outcome of outcomes) if (outcome.status === 'rejected') rethrowUnlessOurs(outcome.reason);
  }

  private answer({ taskId }: Assignment): JsonValue {
    this.texts += 1;
    return { by: this.args.name, taskId, text: `${this.args.name} says ${this.texts}` };
  }

  private whim(kind: string): void {
    this.args.recorder.write({
      t: 'whim',
      annotator: this.args.annotatorId,
      kind,
      atMs: monotonicMs(),
    });
  }

  /** Cut short by `stop`, and by `becomeSteady` what began before it. */
  private async pause(ms: number): Promise<void> {
    const isSteady = this.hurrying.signal.aborted;
    const signal = isSteady
      ? this.stopping.signal
      : AbortSignal.any([this.stopping.signal, this.hurrying.signal]);
    try {
      await delay(ms, undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** What a client cannot do for a person: reload the page, that is, close it and open it anew. */
function isGivenUp(error: unknown): boolean {
  return error instanceof BatonError && (error.code === 'timed_out' || error.code === 'disconnected');
}

function rethrowUnlessOurs(error: unknown): void {
  if (!(error instanceof BatonError)) throw error;
}
