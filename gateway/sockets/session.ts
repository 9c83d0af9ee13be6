import type { Engine, SessionState } from '../../engine/door.ts';
import type { AnnotatorId } from '../../engine/ids.ts';
import type { Result } from '../../engine/refusals.ts';
import { type WireError, wireErrorOf } from '../../protocol/errors.ts';
import {
  type Answers,
  type ClientEvent,
  type ClientMessages,
  isClientEvent,
  readMessage,
} from '../../protocol/wire/index.ts';
import type { Authenticator } from '../auth/principal.ts';
import { describeError } from '../describe-error.ts';
import type { SocketConfig } from './config.ts';
import type { SocketLogger } from './logger.ts';
import { type AnnotatorSocket, Outbox } from './outbox.ts';
import type { Registry } from './registry.ts';
import { ROUTES, type Unnumbered } from './routes.ts';
import { TokenBucket } from './token-bucket.ts';
import { toWireError, toWireState, type UnnumberedPush } from './translate.ts';

export interface SessionServices {
  readonly engine: Engine;
  readonly authenticator: Authenticator;
  readonly registry: Registry;
  readonly logger: SocketLogger;
  readonly config: SocketConfig;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

type Outcome<Event extends ClientEvent> =
  | { readonly ok: true; readonly body: Unnumbered<Answers[Event]> }
  | { readonly ok: false; readonly error: WireError };

type Reply = (answer: { ok: true } | { ok: false; error: WireError }) => void;

/** How long a client that sent far too much is told to stay away. */
const FLOOD_PAUSE_MS = 10_000;

/**
 * One connection of an annotator: greets it with its state, reads its messages, answers them, and pushes to it.
 *
 * S1. The first thing the client hears is its state.
 * S2. The engine hears of one disconnect for each connect that it granted, whatever happens in between.
 * S3. Nothing a client sends throws out of here, and nothing it does makes memory grow: what waits to be answered and
 *     what waits to be written are limited.
 */
export class Session {
  readonly annotatorId: AnnotatorId;
  readonly tokenId: number;
  readonly #token: string;
  readonly #socket: AnnotatorSocket;
  readonly #services: SessionServices;
  readonly #outbox: Outbox;
  readonly #bucket: TokenBucket;
  /** Settled when the client has its state; absent from then on. */
  #greeting: Promise<void> | undefined;
  #isClosed = false;
  /** The engine counts this connection. */
  #isGranted = false;
  #inFlight = 0;
  #rateRefusals = 0;

  constructor(args: {
    socket: AnnotatorSocket;
    annotatorId: AnnotatorId;
    token: string;
    tokenId: number;
    services: SessionServices;
  }) {
    const { config, nowMs } = args.services;
    this.annotatorId = args.annotatorId;
    this.tokenId = args.tokenId;
    this.#token = args.token;
    this.#socket = args.socket;
    this.#services = args.services;
    this.#outbox = new Outbox({
      socket: args.socket,
      messagesMax: config.outboundMax,
      onOverflow: () => this.end(wireErrorOf('busy', 'The connection does not take what is sent to it.')),
    });
    this.#bucket = new TokenBucket({
      perSecond: config.messagesPerSecond,
      burst: config.messageBurst,
      nowMs: nowMs(),
    });
  }

  /** Listens to the socket and greets the client with its state. Resolves when it has it, or will not; never rejects. */
  start(): Promise<void> {
    this.#services.registry.add(this);
    this.#socket.once('disconnect', () => this.#closed());
    // A middleware that never calls on: no event name of a stranger reaches an event emitter.
    this.#socket.use((event: readonly unknown[]) => this.#receive(event));
    this.#outbox.stateAsked();
    this.#greeting = this.#greet();
    return this.#greeting;
  }

  push(push: UnnumberedPush): void {
    if (!this.#isClosed) this.#outbox.push(push);
  }

  /**
   * Says why and closes the connection. After a retryable error the client comes back by itself: the connection is cut
   * below Socket.IO, which reconnects, while a namespace left on the server's word is not joined again.
   */
  end(error: WireError): void {
    if (this.#isClosed) return;
    this.#closed();
    this.#socket.emit('session:closed', {
      error: { code: error.code, message: error.message, ...retryOf(error) },
    });
    if (error.retryable) this.#socket.conn.close();
    else this.#socket.disconnect(true);
  }

  /** Something that was said may have been lost: the client is given its whole state, unasked. Never rejects. */
  async tellState(): Promise<void> {
    if (this.#isClosed || this.#greeting !== undefined) return;
    this.#outbox.stateAsked();
    const outcome = await this.#run('session:sync', {});
    if (this.#isClosed) return;
    if (outcome.ok) {
      const message = this.#outbox.numbered(outcome.body);
      this.#outbox.write(() => this.#socket.emit('session:state', message));
    }
    this.#outbox.stateSent();
    // A client that reads its state because the connection is new reads all of it: the sure way when this did not work.
    if (!outcome.ok) this.end(outcome.error);
  }

  /** Settles when the connection below is closed. */
  gone(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.conn.once('close', () => resolve());
    });
  }

  /** Ends the connection if its token is no longer good. Never rejects. */
  async checkToken(): Promise<void> {
    if (!(await this.#isTokenGood())) this.end(wireErrorOf('unauthorized'));
  }

  /** Never rejects. Costs a query only when the authenticator's last look is too old. */
  async #isTokenGood(): Promise<boolean> {
    const { authenticator, logger } = this.#services;
    try {
      const principal = await authenticator.authenticate(this.#token);
      return principal?.role === 'annotator' && principal.annotatorId === this.annotatorId;
    } catch (error) {
      // Who was let in stays in while the tokens cannot be read: the engine decides whether work can go on.
      logger.warn({ annotatorId: this.annotatorId, ...describeError(error) }, 'token not checked');
      return true;
    }
  }

  async #greet(): Promise<void> {
    const state = await this.#connectToEngine();
    if (!state.ok) {
      this.end(state.error);
      return;
    }
    if (this.#isClosed) {
      this.#disconnectFromEngine();
      return;
    }
    this.#isGranted = true;
    this.#greeting = undefined;
    const message = this.#outbox.numbered(toWireState(state.value));
    this.#outbox.write(() => this.#socket.emit('session:state', message));
    this.#outbox.stateSent();
  }

  async #connectToEngine(): Promise<{ ok: true; value: SessionState } | { ok: false; error: WireError }> {
    try {
      const state = await this.#services.engine.work.connect(this.annotatorId);
      return state.ok ? state : { ok: false, error: toWireError(state) };
    } catch (error) {
      this.#services.logger.error(
        { annotatorId: this.annotatorId, ...describeError(error) },
        'connect failed',
      );
      return { ok: false, error: wireErrorOf('internal') };
    }
  }

  #disconnectFromEngine(): void {
    try {
      this.#services.engine.work.disconnect(this.annotatorId);
    } catch (error) {
      this.#services.logger.error(
        { annotatorId: this.annotatorId, ...describeError(error) },
        'disconnect failed',
      );
    }
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#outbox.discard();
    this.#services.registry.remove(this);
    if (this.#isGranted) this.#disconnectFromEngine();
  }

  #receive(event: readonly unknown[]): void {
    if (this.#isClosed) return;
    const { config } = this.#services;
    const reply = this.#replyTo(event);
    const name = event[0];
    const waitMs = this.#bucket.take(this.#services.nowMs());
    if (waitMs > 0) {
      this.#refuseForRate(reply, waitMs);
      return;
    }
    this.#rateRefusals = 0;
    if (!isClientEvent(name)) {
      reply(failure(wireErrorOf('unknown_message')));
      return;
    }
    if (this.#inFlight >= config.inFlightMax) {
      reply(failure(wireErrorOf('busy', undefined, { retryAfterMs: config.retryAfterMs })));
      return;
    }
    this.#inFlight += 1;
    const payload = typeof event[1] === 'function' ? undefined : event[1];
    void this.#answer(name, payload, reply).finally(() => {
      this.#inFlight -= 1;
    });
  }

  /** A client that asked for no ack is answered nothing. */
  #replyTo(event: readonly unknown[]): Reply {
    const ack = event.length > 1 ? event[event.length - 1] : undefined;
    if (typeof ack !== 'function') return () => undefined;
    return (answer) => {
      if (!this.#isClosed) this.#outbox.write(() => ack(answer));
    };
  }

  #refuseForRate(reply: Reply, retryAfterMs: number): void {
    reply(failure(wireErrorOf('rate_limited', undefined, { retryAfterMs })));
    this.#rateRefusals += 1;
    if (this.#rateRefusals <= this.#services.config.rateRefusalsMax) return;
    this.end(wireErrorOf('rate_limited', undefined, { retryAfterMs: FLOOD_PAUSE_MS }));
  }

  /** Never rejects. */
  async #answer<Event extends ClientEvent>(event: Event, payload: unknown, reply: Reply): Promise<void> {
    const reading = readMessage(event, payload);
    if (!reading.ok) return reply(failure(reading.error));
    if (this.#greeting !== undefined) await this.#greeting;
    if (!(await this.#isTokenGood())) {
      const error = wireErrorOf('unauthorized');
      reply(failure(error));
      return this.end(error);
    }
    if (this.#isClosed) return;
    const isStateAsked = event === 'session:sync' || event === 'session:resume';
    if (isStateAsked) this.#outbox.stateAsked();
    const outcome = await this.#run(event, reading.message);
    if (outcome.ok)
      reply({ ok: true, ...(isStateAsked ? this.#outbox.numbered(outcome.body) : outcome.body) });
    else reply(failure(outcome.error));
    if (isStateAsked) this.#outbox.stateSent();
    if (!outcome.ok && outcome.error.code === 'annotator_banned') this.end(outcome.error);
  }

  async #run<Event extends ClientEvent>(
    event: Event,
    message: ClientMessages[Event],
  ): Promise<Outcome<Event>> {
    const { engine, registry, logger } = this.#services;
    const tellOthers = (push: UnnumberedPush): void => registry.tell(this.annotatorId, push, this);
    try {
      const result: Result<Unnumbered<Answers[Event]>> = await ROUTES[event](
        { work: engine.work, annotatorId: this.annotatorId, tellOthers },
        message,
      );
      return result.ok ? { ok: true, body: result.value } : { ok: false, error: toWireError(result) };
    } catch (error) {
      logger.error({ event, annotatorId: this.annotatorId, ...describeError(error) }, 'message failed');
      return { ok: false, error: wireErrorOf('internal') };
    }
  }
}

function failure(error: WireError): { ok: false; error: WireError } {
  return { ok: false, error };
}

function retryOf(error: WireError): { retryable: boolean; retryAfterMs?: number } {
  const { retryable, retryAfterMs } = error;
  return retryAfterMs === undefined ? { retryable } : { retryable, retryAfterMs };
}
