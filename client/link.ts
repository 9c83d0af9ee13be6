import { io, type Socket } from 'socket.io-client';
import type { z } from 'zod';
import { wireError } from '../protocol/errors.ts';
import {
  ANNOTATOR_NAMESPACE,
  ANSWERS,
  type Answers,
  type ClientEvent,
  type ClientMessages,
  SERVER_PUSHES,
  type WireAssignment,
  type WireSessionState,
  wireFailure,
} from '../protocol/wire/index.ts';
import { backoffMs } from './backoff.ts';
import { BatonError, closedError, disconnectedError, timedOutError } from './baton-error.ts';
import { interruptible } from './interruptible.ts';
import type { Traffic } from './options.ts';
import type { Surroundings } from './surroundings.ts';

/** `live`: connected, and the state is known. */
export type LinkStatus = 'connecting' | 'live' | 'offline' | 'closed';

export interface LinkListener {
  status(status: LinkStatus, error?: BatonError): void;
  state(state: WireSessionState): void;
  assigned(assignment: WireAssignment): void;
  expiring(assignmentId: string, expiresInMs: number): void;
  revoked(assignmentId: string, reason: string): void;
}

export interface LinkTimes {
  /** How long one attempt waits for its answer. */
  readonly ackTimeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
}

const ANSWER_READERS: { readonly [Event in ClientEvent]: z.ZodType<Answers[Event]> } = ANSWERS;

type Attempt<Event extends ClientEvent> =
  | { ok: true; answer: Answers[Event] }
  | { ok: false; error: BatonError };

/**
 * One connection that is kept up, and calls over it that are repeated until they are answered.
 *
 * L1. Nothing is called before the state of the present connection is known.
 * L2. A call is repeated with the same payload, so it must carry its id; every message of the protocol may be repeated.
 * L3. A gap in the numbers of the pushes asks for the whole state.
 * L4. Closing, for whatever reason, settles every call.
 */
export class Link {
  readonly #socket: Socket;
  readonly #surroundings: Surroundings;
  readonly #times: LinkTimes;
  readonly #listener: LinkListener;
  readonly #onTraffic: ((traffic: Traffic) => void) | undefined;
  #attempts = 0;
  readonly #life = new AbortController();
  #status: LinkStatus = 'offline';
  #lastSeq = 0;
  #failures = 0;
  #goodbye: BatonError | undefined;
  #cancelReconnect: (() => void) | undefined;
  #cancelGreetTimeout: (() => void) | undefined;
  #isSyncing = false;
  readonly #whenLive = new Set<() => void>();
  /** Calls that wait for an ack on the present connection. */
  readonly #onDisconnect = new Set<() => void>();

  constructor(args: {
    url: string;
    path?: string | undefined;
    token: () => Promise<string>;
    surroundings: Surroundings;
    times: LinkTimes;
    listener: LinkListener;
    onTraffic?: ((traffic: Traffic) => void) | undefined;
  }) {
    this.#surroundings = args.surroundings;
    this.#times = args.times;
    this.#listener = args.listener;
    this.#onTraffic = args.onTraffic;
    this.#socket = io(`${args.url.replace(/\/+$/, '')}${ANNOTATOR_NAMESPACE}`, {
      ...(args.path === undefined ? {} : { path: args.path }),
      transports: ['websocket'],
      autoConnect: false,
      forceNew: true,
      // Done here: one way back for every way a connection can end, with the server's retry times.
      reconnection: false,
      auth: (give) => {
        args.token().then(
          (token) => give({ token }),
          (error: unknown) =>
            this.#failed(
              new BatonError({ code: 'unauthorized', message: messageOf(error), retryable: true }),
            ),
        );
      },
    });
    this.#listen();
  }

  get status(): LinkStatus {
    return this.#status;
  }

  /** Aborted when the link is closed, with the error that closed it. */
  get life(): AbortSignal {
    return this.#life.signal;
  }

  connect(): void {
    if (this.#status !== 'offline' || this.#cancelReconnect !== undefined) return;
    this.#open();
  }

  close(error: BatonError = closedError()): void {
    if (this.#life.signal.aborted) return;
    this.#cancelReconnect?.();
    this.#cancelGreetTimeout?.();
    this.#setStatus('closed', error);
    this.#life.abort(error);
    this.#socket.disconnect();
  }

  /**
   * Sends a message until it is answered, across reconnects, for `patienceMs` at most.
   *
   * @throws BatonError what the server refused it with, or `closed`, `aborted`, or what failed last when patience ends.
   */
  async call<Event extends ClientEvent>(
    event: Event,
    message: ClientMessages[Event],
    options: { patienceMs: number; signal?: AbortSignal | undefined },
  ): Promise<Answers[Event]> {
    const { nowMs, random } = this.#surroundings;
    const deadlineMs = nowMs() + options.patienceMs;
    for (let attempt = 1; ; attempt++) {
      await this.untilLive({ signal: options.signal, patienceMs: deadlineMs - nowMs() });
      const outcome = await this.#attempt(event, message, options.signal);
      if (outcome.ok) return outcome.answer;
      if (!outcome.error.retryable) throw outcome.error;
      // A connection that went is not the server's wish for peace: being live again is the signal to repeat.
      const isGone = outcome.error.code === 'disconnected';
      const delayMs = isGone ? 0 : this.#backoff(attempt, random, outcome.error.retryAfterMs);
      if (nowMs() + delayMs >= deadlineMs) throw outcome.error;
      if (delayMs > 0) await this.#pause(delayMs, options.signal);
    }
  }

  /** @throws BatonError `timed_out`, `closed` or `aborted`. */
  untilLive(options: { signal?: AbortSignal | undefined; patienceMs: number }): Promise<void> {
    return interruptible({ life: this.#life.signal, call: options.signal }, (resolve, reject) => {
      const done = (): void => resolve();
      if (this.#status === 'live') done();
      this.#whenLive.add(done);
      const cancel = this.#surroundings.setTimer(Math.max(0, options.patienceMs), () =>
        reject(timedOutError()),
      );
      return () => {
        this.#whenLive.delete(done);
        cancel();
      };
    });
  }

  /** Asks for the whole state, once at a time. */
  sync(): void {
    if (this.#isSyncing || this.#status !== 'live') return;
    this.#isSyncing = true;
    void this.#attempt('session:sync', {}).then(
      (outcome) => {
        this.#isSyncing = false;
        if (outcome.ok) this.#takeState(outcome.answer);
        // A new connection begins with its state: the sure way, when asking did not work.
        else if (outcome.error.code !== 'disconnected') this.#drop(outcome.error);
      },
      () => {
        this.#isSyncing = false;
      },
    );
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('connect_error', (error: Error & { data?: unknown }) => {
      const refusal = wireError.safeParse(error.data);
      this.#failed(refusal.success ? new BatonError(refusal.data) : disconnectedError());
    });
    socket.on('disconnect', () => this.#failed(this.#goodbye ?? disconnectedError()));
    socket.onAny((name: string, body: unknown) => {
      this.#onTraffic?.({ kind: 'pushed', event: name, body });
      this.#hear(name, body);
    });
  }

  /** A push unknown here comes from a newer server, and is passed over. */
  #hear(name: string, body: unknown): void {
    switch (name) {
      case 'session:closed':
        this.#read(SERVER_PUSHES[name], body, ({ error }) => {
          this.#goodbye = new BatonError(error);
        });
        break;
      case 'session:state':
        this.#read(SERVER_PUSHES[name], body, (state) => this.#greeted(state));
        break;
      case 'work:assigned':
        this.#read(SERVER_PUSHES[name], body, ({ seq, assignment }) => {
          if (this.#takeNumber(seq)) this.#listener.assigned(assignment);
        });
        break;
      case 'work:expiring':
        this.#read(SERVER_PUSHES[name], body, ({ seq, assignmentId, expiresInMs }) => {
          if (this.#takeNumber(seq)) this.#listener.expiring(assignmentId, expiresInMs);
        });
        break;
      case 'work:revoked':
        this.#read(SERVER_PUSHES[name], body, ({ seq, assignmentId, reason }) => {
          if (this.#takeNumber(seq)) this.#listener.revoked(assignmentId, reason);
        });
    }
  }

  #read<Body>(reader: z.ZodType<Body>, body: unknown, take: (body: Body) => void): void {
    const reading = reader.safeParse(body);
    if (reading.success) take(reading.data);
    else
      this.#drop(new BatonError({ code: 'unreadable', message: 'A push is not readable.', retryable: true }));
  }

  #greeted(state: WireSessionState): void {
    this.#cancelGreetTimeout?.();
    this.#takeState(state);
    this.#failures = 0;
    this.#setStatus('live');
    for (const done of [...this.#whenLive]) done();
  }

  /** @returns false for a push that the last state already covered. */
  #takeNumber(seq: number): boolean {
    if (seq <= this.#lastSeq) return false;
    const isGap = seq !== this.#lastSeq + 1;
    this.#lastSeq = seq;
    if (isGap) this.sync();
    return true;
  }

  #takeState(state: WireSessionState): void {
    this.#lastSeq = state.seq;
    this.#listener.state(state);
  }

  #attempt<Event extends ClientEvent>(
    event: Event,
    message: ClientMessages[Event],
    call?: AbortSignal,
  ): Promise<Attempt<Event>> {
    const tell = this.#onTraffic;
    if (tell === undefined) return this.#send(event, message, call);
    const attempt = ++this.#attempts;
    tell({ kind: 'sent', attempt, event, message });
    const sent = this.#send(event, message, call);
    void sent.then(
      (outcome) =>
        tell(
          outcome.ok
            ? { kind: 'answered', attempt, answer: outcome.answer }
            : { kind: 'failed', attempt, error: outcome.error },
        ),
      (error: unknown) =>
        tell({ kind: 'failed', attempt, error: error instanceof BatonError ? error : closedError() }),
    );
    return sent;
  }

  #send<Event extends ClientEvent>(
    event: Event,
    message: ClientMessages[Event],
    call?: AbortSignal,
  ): Promise<Attempt<Event>> {
    return interruptible<Attempt<Event>>({ life: this.#life.signal, call }, (resolve) => {
      const fail = (error: BatonError): void => resolve({ ok: false, error });
      const gone = (): void => fail(disconnectedError());
      this.#onDisconnect.add(gone);
      const cancel = this.#surroundings.setTimer(this.#times.ackTimeoutMs, () => fail(timedOutError()));
      this.#socket.emit(event, message, (ack: unknown) => resolve(readAck(event, ack)));
      return () => {
        this.#onDisconnect.delete(gone);
        cancel();
      };
    });
  }

  #pause(delayMs: number, call: AbortSignal | undefined): Promise<void> {
    return interruptible({ life: this.#life.signal, call }, (resolve) =>
      this.#surroundings.setTimer(delayMs, () => resolve()),
    );
  }

  /** Ends the present connection from this side, to begin another. */
  #drop(error: BatonError): void {
    this.#goodbye = error;
    this.#socket.disconnect();
    // A socket that never joined says nothing when it leaves.
    this.#failed(error);
  }

  /** The connection ended or did not come about. */
  #failed(error: BatonError): void {
    if (this.#life.signal.aborted || this.#cancelReconnect !== undefined) return;
    this.#cancelGreetTimeout?.();
    this.#goodbye = undefined;
    for (const gone of [...this.#onDisconnect]) gone();
    if (!error.retryable) {
      this.close(error);
      return;
    }
    this.#failures += 1;
    this.#setStatus('offline', error);
    const delayMs = this.#backoff(this.#failures, this.#surroundings.random, error.retryAfterMs);
    this.#cancelReconnect = this.#surroundings.setTimer(delayMs, () => {
      this.#cancelReconnect = undefined;
      this.#open();
    });
  }

  #open(): void {
    this.#setStatus('connecting');
    this.#cancelGreetTimeout = this.#surroundings.setTimer(this.#times.ackTimeoutMs * 2, () =>
      this.#drop(timedOutError()),
    );
    this.#socket.connect();
  }

  #backoff(attempt: number, random: () => number, retryAfterMs: number | undefined): number {
    const { backoffBaseMs: baseMs, backoffMaxMs: maxMs } = this.#times;
    return backoffMs({ attempt, baseMs, maxMs, random, retryAfterMs });
  }

  #setStatus(status: LinkStatus, error?: BatonError): void {
    if (this.#status === status || this.#life.signal.aborted) return;
    this.#status = status;
    this.#listener.status(status, error);
  }
}

function readAck<Event extends ClientEvent>(event: Event, ack: unknown): Attempt<Event> {
  const failure = wireFailure.safeParse(ack);
  if (failure.success) return { ok: false, error: new BatonError(failure.data.error) };
  const answer = ANSWER_READERS[event].safeParse(ack);
  if (answer.success) return { ok: true, answer: answer.data };
  return {
    ok: false,
    error: new BatonError({
      code: 'unreadable',
      message: `The answer to ${event} is not readable.`,
      retryable: false,
    }),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'The token could not be had.';
}
