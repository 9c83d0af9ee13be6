import { WIRE_LIMITS } from '../protocol/limits.ts';
import type {
  JsonValue,
  WireAssignment,
  WireReceipt,
  WireSessionState,
  WireWaiting,
  WireWork,
} from '../protocol/wire/index.ts';
import { BatonError } from './baton-error.ts';
import { Delivery } from './delivery.ts';
import { assertSendable, Drafts } from './drafts.ts';
import { Emitter } from './emitter.ts';
import { Heartbeats } from './heartbeats.ts';
import { Leases } from './leases.ts';
import { Link, type LinkStatus } from './link.ts';
import type { BatonClientEvents, BatonClientOptions } from './options.ts';
import { defaultSurroundings, type Surroundings } from './surroundings.ts';

/**
 * A labeling client's side of Baton. It connects and stays connected, keeps leases alive, saves drafts, and repeats
 * what was not answered, under one id, so that nothing is done twice.
 *
 * ```ts
 * const client = await connect({ url: 'http://localhost:3000', token });
 * let work: Work = await client.requestWork();
 * client.on('assigned', ({ assignment }) => show(assignment));
 * // ...
 * const { receipt, next } = await client.submit(assignment.id, { label: 'cat' }, { next: true });
 * ```
 *
 * Calls reject with a `BatonError`; after `close()` every pending one rejects with the code `closed`. Works in browsers
 * and in Node.
 */
export class BatonClient {
  readonly #surroundings: Surroundings;
  readonly #events = new Emitter<BatonClientEvents>();
  readonly #link: Link;
  readonly #leases: Leases;
  readonly #delivery: Delivery;
  readonly #heartbeats: Heartbeats;
  readonly #drafts: Drafts;
  readonly #patienceMs: number;
  readonly #submitPatienceMs: number;
  /** The id of an answer that may or may not have arrived, and the answer. */
  readonly #submissions = new Map<string, { submissionId: string; json: string }>();
  #waiting: WireWaiting | undefined;
  #isPaused = false;

  constructor(options: BatonClientOptions) {
    const { token, autosaveMs = 800, autosaveMsMax = 5_000, ackTimeoutMs = 10_000 } = options;
    this.#surroundings = { ...defaultSurroundings(), ...options.surroundings };
    this.#patienceMs = options.patienceMs ?? 60_000;
    this.#submitPatienceMs = options.submitPatienceMs ?? 600_000;
    this.#leases = new Leases(() => this.#surroundings.nowMs());
    this.#delivery = new Delivery(this.#leases, {
      has: () => this.#events.has('assigned'),
      emit: (assignment) => this.#events.emit('assigned', { assignment }),
    });
    this.#link = new Link({
      url: options.url,
      path: options.path,
      token: async () => (typeof token === 'string' ? token : token()),
      surroundings: this.#surroundings,
      onTraffic: options.onTraffic,
      times: {
        ackTimeoutMs,
        backoffBaseMs: options.backoffBaseMs ?? 250,
        backoffMaxMs: options.backoffMaxMs ?? 5_000,
      },
      listener: {
        status: (status, error) => this.#onStatus(status, error),
        state: (state) => this.#onState(state),
        assigned: (assignment) => this.#onAssigned(assignment),
        expiring: (assignmentId, expiresInMs) => this.#onExpiring(assignmentId, expiresInMs),
        revoked: (assignmentId, reason) => this.#onEnded(assignmentId, reason),
      },
    });
    this.#heartbeats = new Heartbeats({
      link: this.#link,
      leases: this.#leases,
      surroundings: this.#surroundings,
      patienceMs: ackTimeoutMs,
      onEnded: (assignmentId) => {
        // What a submit under way has ended is told by the submit.
        if (!this.#leases.isSettling(assignmentId)) this.#onEnded(assignmentId, 'ended');
      },
    });
    this.#drafts = new Drafts({
      link: this.#link,
      surroundings: this.#surroundings,
      times: { debounceMs: autosaveMs, waitMsMax: autosaveMsMax, patienceMs: this.#patienceMs },
      onSaved: (assignmentId, draft) => {
        this.#leases.drafted(assignmentId, draft);
        this.#events.emit('draftSaved', { assignmentId, draft });
      },
      onRefused: (assignmentId, error) => this.#events.emit('draftRefused', { assignmentId, error }),
    });
    if (options.signal?.aborted) this.close();
    else options.signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  /** @returns off */
  on<Name extends keyof BatonClientEvents>(
    name: Name,
    listener: (event: BatonClientEvents[Name]) => void,
  ): () => void {
    const off = this.#events.on(name, listener);
    if (name === 'assigned') queueMicrotask(() => this.#delivery.deliver());
    return off;
  }

  get status(): LinkStatus {
    return this.#link.status;
  }

  /** What is held now, with the time left of each. */
  get assignments(): readonly WireAssignment[] {
    return this.#leases.all();
  }

  /** Why there is no work, while waiting for it. */
  get waiting(): WireWaiting | undefined {
    return this.#waiting;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Connects; from then on the connection is kept. Settles when the state is known.
   *
   * @throws BatonError `unauthorized`, `forbidden` or another refusal that no repeating mends, or `timed_out`: then it
   *   goes on trying, and may be awaited again.
   */
  async connect(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#link.connect();
    await this.#link.untilLive({ signal: options.signal, patienceMs: this.#patienceMs });
  }

  /** Asks once. With `waiting` in the answer, work comes later as `assigned`. */
  requestWork(options: { projects?: string[]; signal?: AbortSignal } = {}): Promise<WireWork> {
    const requestId = this.#surroundings.newId();
    return this.#mayReturnWork(options.signal, async () => {
      const { projects, signal } = options;
      const work = await this.#link.call(
        'work:request',
        { requestId, projects },
        { patienceMs: this.#patienceMs, signal },
      );
      return this.#takeWork(work);
    });
  }

  /** The next assignment, now or when there is one; what is held and was not yet given out comes first. */
  async nextAssignment(options: { projects?: string[]; signal?: AbortSignal } = {}): Promise<WireAssignment> {
    const { signal } = options;
    // Only then is it known what is held.
    await this.#link.untilLive({ signal, patienceMs: this.#patienceMs });
    const first = this.#delivery.takeWaiting();
    if (first !== undefined) return first;
    const taker = this.#delivery.join();
    try {
      for (;;) {
        taker.mustAsk = false;
        const work = await this.requestWork(options).catch(async (error: unknown) => {
          if (!(error instanceof BatonError && error.code === 'at_capacity')) throw error;
          // What fills the capacity may be a push that is still on its way: the state has it.
          this.#onState(await this.#link.call('session:sync', {}, { patienceMs: this.#patienceMs, signal }));
          if (taker.taken === undefined) throw error;
        });
        if (work !== undefined && 'assignment' in work) return work.assignment;
        const given = await this.#delivery.wait(taker, { life: this.#link.life, call: signal });
        if (given !== undefined) return given;
      }
    } finally {
      this.#delivery.leave(taker);
    }
  }

  /** Takes an offered assignment. */
  async accept(assignmentId: string): Promise<void> {
    const { expiresInMs } = await this.#link.call(
      'work:accept',
      { assignmentId },
      { patienceMs: this.#patienceMs },
    );
    this.#leases.accepted(assignmentId, expiresInMs);
    this.#changed();
  }

  /**
   * Saves the unfinished answer soon, by itself; the last one given counts. Kept through a lost connection.
   *
   * @throws BatonError `too_large` or `malformed`, at once.
   */
  saveDraft(assignmentId: string, draft: JsonValue): void {
    this.#drafts.save(assignmentId, draft);
  }

  /** Sends unsaved drafts now. Settles when the server has them or has refused them. */
  flushDrafts(): Promise<void> {
    return this.#drafts.flush();
  }

  isDraftUnsaved(assignmentId: string): boolean {
    return this.#drafts.isUnsaved(assignmentId);
  }

  /**
   * Hands in the answer, under one submission id until the server has answered. When it gave up for want of an answer,
   * submitting the same result again is the same submission. A draft that was not saved is saved if the answer is refused.
   *
   * @throws BatonError for example `invalid_result` with the paths that are wrong, `lease_ended`, `too_large`.
   */
  submit(
    assignmentId: string,
    result: JsonValue,
    options: { next?: boolean; projects?: string[]; signal?: AbortSignal } = {},
  ): Promise<{ receipt: WireReceipt; next?: WireWork }> {
    const { next = false, projects, signal } = options;
    return this.#mayReturnWork(next ? signal : undefined, () =>
      this.#settle(assignmentId, async () => {
        assertSendable(result, WIRE_LIMITS.resultBytesMax);
        const submissionId = this.#submissionIdOf(assignmentId, result);
        const message = { assignmentId, submissionId, result, next, projects };
        const answer = await this.#link.call('work:submit', message, {
          patienceMs: this.#submitPatienceMs,
          signal,
        });
        this.#submissions.delete(assignmentId);
        if (answer.next === undefined) return { receipt: answer.receipt };
        return { receipt: answer.receipt, next: this.#takeWork(answer.next) };
      }),
    );
  }

  /** Gives the task back, never to get it again. */
  skip(assignmentId: string, reason?: string): Promise<void> {
    return this.#settle(assignmentId, async () => {
      await this.#link.call('work:skip', { assignmentId, reason }, { patienceMs: this.#submitPatienceMs });
    });
  }

  /** Gives the task back; it may come again, with its draft. */
  async release(assignmentId: string): Promise<void> {
    await this.#drafts.flush();
    await this.#settle(assignmentId, async () => {
      await this.#link.call('work:release', { assignmentId }, { patienceMs: this.#submitPatienceMs });
    });
  }

  /** Be pushed nothing. Leases stay. */
  async pause(): Promise<void> {
    await this.#link.call('session:pause', {}, { patienceMs: this.#patienceMs });
    this.#isPaused = true;
    this.#changed();
  }

  async resume(): Promise<void> {
    this.#onState(await this.#link.call('session:resume', {}, { patienceMs: this.#patienceMs }));
  }

  /** Closes the connection and rejects whatever is pending. Leases stay until their time is over. */
  close(): void {
    this.#heartbeats.stop();
    this.#drafts.stop();
    this.#link.close();
  }

  async #mayReturnWork<T>(signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
    try {
      return await this.#delivery.around(act);
    } finally {
      // The answer to an aborted call may hold a lease: the state will show it.
      if (signal?.aborted) this.#link.sync();
    }
  }

  /** Runs a call that ends a lease when it succeeds. */
  async #settle<T>(assignmentId: string, act: () => Promise<T>): Promise<T> {
    this.#leases.settling(assignmentId, true);
    this.#drafts.suspend(assignmentId);
    try {
      const answer = await act();
      this.#leases.remove(assignmentId);
      this.#drafts.forget(assignmentId);
      return answer;
    } catch (error) {
      this.#leases.settling(assignmentId, false);
      if (
        error instanceof BatonError &&
        (error.code === 'lease_ended' || error.code === 'unknown_assignment')
      ) {
        this.#leases.remove(assignmentId);
      }
      this.#drafts.resume(assignmentId);
      throw error;
    } finally {
      this.#changed();
    }
  }

  /** A new id for a new answer, the old one for the same answer again. */
  #submissionIdOf(assignmentId: string, result: JsonValue): string {
    const json = JSON.stringify(result);
    const earlier = this.#submissions.get(assignmentId);
    if (earlier?.json === json) return earlier.submissionId;
    const submissionId = this.#surroundings.newId();
    this.#submissions.set(assignmentId, { submissionId, json });
    return submissionId;
  }

  #takeWork(work: WireWork): WireWork {
    if ('assignment' in work) {
      this.#waiting = undefined;
      this.#leases.put(work.assignment);
      this.#leases.delivered(work.assignment.id);
    } else {
      this.#waiting = work.waiting;
    }
    this.#isPaused = false;
    this.#changed();
    return work;
  }

  #onStatus(status: LinkStatus, error: BatonError | undefined): void {
    if (status === 'closed') {
      this.#heartbeats.stop();
      this.#drafts.stop();
    }
    this.#events.emit('connection', { status, error });
    this.#heartbeats.rearm();
  }

  #onState(state: WireSessionState): void {
    const ended = this.#leases.replace(state.assignments);
    this.#waiting = state.waiting;
    this.#isPaused = state.paused;
    for (const assignmentId of ended) this.#ended(assignmentId, 'ended');
    this.#delivery.deliver();
    if (state.waiting === undefined && !state.paused) this.#delivery.placeLost();
    this.#changed();
  }

  #onAssigned(assignment: WireAssignment): void {
    this.#waiting = undefined;
    this.#leases.put(assignment);
    this.#delivery.deliver();
    this.#changed();
  }

  #onExpiring(assignmentId: string, expiresInMs: number): void {
    this.#leases.renewed(assignmentId, expiresInMs);
    this.#events.emit('expiring', { assignmentId, expiresInMs });
    this.#heartbeats.rearm();
  }

  #onEnded(assignmentId: string, reason: string): void {
    if (!this.#leases.remove(assignmentId)) return;
    this.#ended(assignmentId, reason);
    this.#changed();
  }

  #ended(assignmentId: string, reason: string): void {
    // The server may still keep it, sealed, for when the task comes back.
    this.#drafts.sendNow(assignmentId);
    this.#submissions.delete(assignmentId);
    this.#events.emit('revoked', { assignmentId, reason });
  }

  #changed(): void {
    this.#heartbeats.rearm();
    this.#events.emit('state', {
      assignments: this.#leases.all(),
      waiting: this.#waiting,
      isPaused: this.#isPaused,
    });
  }
}

/** A client that is connected. On a refusal that no repeating mends it is closed again. @throws BatonError */
export async function connect(options: BatonClientOptions): Promise<BatonClient> {
  const client = new BatonClient(options);
  try {
    await client.connect();
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}
