import {
  type Assignment,
  BatonClient,
  BatonError,
  type JsonValue,
  type Waiting,
} from '../../client/index.ts';
import type { Answer, Answers } from './answers.ts';
import {
  type Command,
  expectPerson,
  type Habits,
  type Input,
  type Person,
  step,
  type Turn,
} from './person.ts';
import type { Random } from './random.ts';
import type { Tally } from './tally.ts';

/** The longest a timer can be, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const RELEASE_PATIENCE_MS = 5_000;
/** Answers that another try does not change; the task is given back instead. */
const UNFIT = new Set(['invalid_result', 'too_large', 'malformed']);

export interface AnnotatorArgs {
  readonly url: string;
  readonly token: string;
  /** The slug of the project to work in. */
  readonly project: string;
  readonly arrivesAfterMs: number;
  readonly answers: Answers;
  readonly random: Random;
  readonly habits: Habits;
  readonly graceMs: number;
  readonly clock: SimulationClock;
  readonly tally: Tally;
}

/** Human time: so many times faster than the clock on the wall. */
export interface SimulationClock {
  readonly speed: number;
  /** Human milliseconds since the simulation began. */
  nowMs(): number;
}

interface Held {
  readonly assignment: Assignment;
  readonly answer: Answer | undefined;
  isSettling: boolean;
}

/**
 * Carries out what a simulated person decides, over a connection of their own.
 *
 * A1. What a call answers after its connection was closed belongs to an earlier life and is passed over.
 * A2. The task in hand outlives a lost connection: only the server's state says that it is gone.
 */
export class SimulatedAnnotator {
  readonly #args: AnnotatorArgs;
  #person: Person;
  #client: BatonClient | undefined;
  #held: Held | undefined;
  #timer: NodeJS.Timeout | undefined;
  #waiting: Waiting | undefined;
  #foundNothingAtMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;
  /** The request, submit or return that was sent last; settled when it is answered. */
  #underWay: Promise<void> = Promise.resolve();

  constructor(args: AnnotatorArgs) {
    this.#args = args;
    this.#person = expectPerson(args.arrivesAfterMs).person;
  }

  start(): void {
    this.#follow(expectPerson(this.#args.arrivesAfterMs));
  }

  /** Gives back what is in hand, and goes. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    if (client === undefined) return;
    this.#client = undefined;
    const patience = setTimeout(() => client.close(), RELEASE_PATIENCE_MS);
    try {
      // The answer that is on its way may bring the next task, which has to go back too.
      await this.#underWay;
      for (const { id } of client.assignments) {
        await client.release(id);
        this.#args.tally.released += 1;
      }
    } catch (error) {
      this.#count(error);
    } finally {
      clearTimeout(patience);
      client.close();
    }
  }

  get at(): Person['at'] {
    return this.#person.at;
  }

  /** Whether this person will take nothing more, or was told that there is nothing, at this human time or later. */
  hasNothingSince(ms: number): boolean {
    return this.at === 'gone' || this.#waiting !== undefined || this.#foundNothingAtMs >= ms;
  }

  #hear(input: Input): void {
    if (this.#isStopped) return;
    const { random, habits, graceMs, clock } = this.#args;
    this.#follow(step(this.#person, input, { nowMs: clock.nowMs(), random, habits, graceMs }));
  }

  #follow({ person, commands }: Turn): void {
    this.#person = person;
    if (commands.length > 0) clearTimeout(this.#timer);
    for (const command of commands) this.#obey(command);
  }

  #obey(command: Command): void {
    switch (command.does) {
      case 'connect':
        void this.#connect();
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'seek':
        this.#underWay = this.#seek();
        break;
      case 'draft':
        this.#draft();
        break;
      case 'submit':
        this.#underWay = this.#submit(command.next);
        break;
      case 'skip':
      case 'release':
        this.#underWay = this.#giveBack(command.does);
        break;
      case 'wake':
        this.#wake(command.in === 'human' ? command.afterMs / this.#args.clock.speed : command.afterMs);
    }
  }

  #wake(afterMs: number): void {
    this.#timer = setTimeout(
      () => this.#hear({ type: 'woke' }),
      Math.min(Math.max(0, afterMs), TIMER_MS_MAX),
    );
  }

  async #connect(): Promise<void> {
    const { url, token, tally } = this.#args;
    const client = new BatonClient({ url, token });
    this.#client = client;
    client.on('assigned', ({ assignment }) => this.#isPresent(client) && this.#given(assignment));
    client.on(
      'revoked',
      ({ assignmentId, reason }) => this.#isPresent(client) && this.#lost(assignmentId, reason),
    );
    client.on('state', ({ assignments, waiting }) => {
      if (!this.#isPresent(client) || this.#waiting === undefined || waiting !== undefined) return;
      // A server that was started again has forgotten who waits.
      this.#waiting = undefined;
      if (assignments.length === 0) this.#underWay = this.#seek();
    });
    client.on('connection', ({ status, error }) => {
      if (status !== 'closed' || !this.#isPresent(client) || error === undefined) return;
      this.#count(error);
      this.#hear({ type: 'refused' });
    });
    tally.connects += 1;
    while (this.#isPresent(client)) {
      try {
        await client.connect();
        break;
      } catch (error) {
        // It goes on trying by itself; what nothing mends has closed it, and was heard above.
        if (this.#isPresent(client)) this.#count(error);
        if (client.status === 'closed') return;
      }
    }
    if (!this.#isPresent(client)) return;
    const isStillOurs = client.assignments.some(({ id }) => id === this.#held?.assignment.id);
    if (this.#held !== undefined && !isStillOurs) this.#lost(this.#held.assignment.id, 'away');
    else if (this.#held === undefined) this.#underWay = this.#seek();
  }

  #disconnect(): void {
    const client = this.#client;
    this.#client = undefined;
    this.#waiting = undefined;
    // Who comes back finds the task in hand, or finds it gone.
    if (this.#person.at !== 'cut') this.#held = undefined;
    client?.close();
  }

  async #seek(): Promise<void> {
    const client = this.#client;
    if (client === undefined || this.#waiting !== undefined || this.#held !== undefined) return;
    const beganMs = performance.now();
    try {
      const work = await client.requestWork({ projects: [this.#args.project] });
      if (!this.#isPresent(client)) return;
      this.#args.tally.requests.add(performance.now() - beganMs);
      if ('assignment' in work) this.#given(work.assignment);
      else this.#waits(work.waiting);
    } catch (error) {
      if (!this.#isPresent(client)) return;
      this.#count(error);
      // Something was pushed meanwhile, and is or will be heard of; whatever is retryable was tried for long enough.
      const isFinal = error instanceof BatonError && !error.retryable && error.code !== 'at_capacity';
      if (isFinal) this.#hear({ type: 'refused' });
    }
  }

  #given(assignment: Assignment): void {
    this.#waiting = undefined;
    if (assignment.id === this.#held?.assignment.id) {
      if (this.#person.at === 'cut') this.#hear({ type: 'resumed' });
      return;
    }
    if (assignment.attempt > 1) this.#args.tally.reassigned += 1;
    if (this.#held !== undefined) this.#args.tally.lost('away');
    const answer = this.#args.answers.answerTo(assignment);
    this.#held = { assignment, answer, isSettling: false };
    if (assignment.state === 'offered') {
      const client = this.#client;
      client?.accept(assignment.id).catch((error: unknown) => this.#isPresent(client) && this.#count(error));
    }
    this.#hear({ type: 'given', thinkMs: answer?.thinkMs, skips: answer === undefined });
  }

  #waits(waiting: Waiting): void {
    this.#waiting = waiting;
    this.#foundNothingAtMs = this.#args.clock.nowMs();
  }

  #lost(assignmentId: string, reason: string): void {
    if (this.#held?.assignment.id !== assignmentId || this.#held.isSettling) return;
    this.#args.tally.lost(reason);
    this.#empty();
  }

  #draft(): void {
    const { client, held } = this.#inHand();
    if (client === undefined || held?.answer === undefined) return;
    client.saveDraft(held.assignment.id, held.answer.result);
    this.#args.tally.drafts += 1;
    client.flushDrafts().catch((error: unknown) => this.#isPresent(client) && this.#count(error));
  }

  async #submit(next: boolean): Promise<void> {
    const { client, held } = this.#inHand();
    if (client === undefined || held === undefined) return this.#hear({ type: 'emptied' });
    const { tally, answers, project } = this.#args;
    held.isSettling = true;
    const result: JsonValue = held.answer?.result ?? null;
    const isLast = answers.isLast();
    const beganMs = performance.now();
    try {
      const options = next && !isLast ? { next: true, projects: [project] } : {};
      const { receipt, next: work } = await client.submit(held.assignment.id, result, options);
      tally.submits.add(performance.now() - beganMs);
      tally.submitted += 1;
      if (receipt.late) tally.late += 1;
      if (receipt.status === 'surplus') tally.surplus += 1;
      answers.given(held.assignment.taskId);
      if (!this.#isPresent(client)) return;
      this.#held = undefined;
      if (isLast) return this.#hear({ type: 'refused' });
      if (work !== undefined && 'assignment' in work) return this.#given(work.assignment);
      if (work !== undefined && 'waiting' in work) this.#waits(work.waiting);
      this.#hear({ type: 'emptied' });
    } catch (error) {
      if (!this.#isPresent(client)) return;
      this.#count(error);
      held.isSettling = false;
      if (error instanceof BatonError && UNFIT.has(error.code)) return this.#giveBack('skip');
      this.#lost(held.assignment.id, 'late');
    }
  }

  async #giveBack(how: 'skip' | 'release'): Promise<void> {
    const { client, held } = this.#inHand();
    if (client === undefined || held === undefined) return this.#hear({ type: 'emptied' });
    held.isSettling = true;
    try {
      await client[how](held.assignment.id);
      if (how === 'skip') this.#args.tally.skipped += 1;
      else this.#args.tally.released += 1;
    } catch (error) {
      if (!this.#isPresent(client)) return;
      this.#count(error);
    }
    if (this.#isPresent(client)) this.#empty();
  }

  #empty(): void {
    this.#held = undefined;
    this.#hear({ type: 'emptied' });
  }

  #inHand(): { client: BatonClient | undefined; held: Held | undefined } {
    return { client: this.#client, held: this.#held };
  }

  #isPresent(client: BatonClient | undefined): boolean {
    return client !== undefined && this.#client === client && !this.#isStopped;
  }

  #count(error: unknown): void {
    this.#args.tally.error(error instanceof BatonError ? error.code : 'unexpected');
    if (!(error instanceof BatonError)) throw error;
  }
}
