import type { IncomingMessage } from 'node:http';
import { wireErrorOf } from '../../protocol/errors.ts';
import type { SocketConfig } from './config.ts';
import { Line } from './line.ts';
import { Lobby } from './lobby.ts';
import type { AnnotatorSocket } from './outbox.ts';
import { turnAway } from './turn-away.ts';

type Connection = AnnotatorSocket['conn'];

/** Those in line are looked at this often for who has waited too long, in ms. */
const EXPIRE_EVERY_MS = 500;

/**
 * The way of a connection to its greeting: it waits in line before it is upgraded, is counted in the lobby from then on, and
 * is told when to come back if there is no room for it. Connections are known by their TCP sockets, which are there before
 * and after the upgrade, and whose end is always told.
 */
export class Entrance {
  readonly #config: SocketConfig;
  readonly #lobby: Lobby;
  readonly #line: Line;
  readonly #timer: NodeJS.Timeout;
  readonly #open: () => number;
  /** Upgraded only to be told when to come back. */
  readonly #turnedAway = new WeakMap<object, number>();
  #isClosed = false;

  /** @param args.open connections that are upgraded now, whatever became of them. */
  constructor(args: {
    config: SocketConfig;
    nowMs: () => number;
    random: () => number;
    open: () => number;
  }) {
    const { config, nowMs, random } = args;
    this.#config = config;
    this.#open = args.open;
    this.#lobby = new Lobby({ max: config.pendingMax, maxPerAddress: config.pendingPerAddressMax });
    this.#line = new Line({
      lobby: this.#lobby,
      limits: {
        max: config.lineMax,
        maxPerAddress: config.linePerAddressMax,
        perTurn: config.lettingInPerTurn,
        waitMsMax: config.lineWaitMsMax,
        expectedMs: config.lettingInExpectedMs,
      },
      nowMs,
      random,
      defer: (run) => void setImmediate(run),
    });
    this.#timer = setInterval(() => this.#line.expire(), EXPIRE_EVERY_MS);
    this.#timer.unref();
  }

  /** A request to be upgraded. @param answer called once: at once, or when its turn has come. */
  arrived(request: IncomingMessage, answer: (isWelcome: boolean) => void): void {
    // The last bound, for those who do not even take a refusal: this one is not explained.
    const { maxConnections, pendingMax } = this.#config;
    if (this.#isClosed || this.#open() >= maxConnections + 2 * pendingMax) {
      answer(false);
      return;
    }
    const connection = request.socket;
    this.#line.join({
      address: this.addressOf(request),
      connection,
      isGone: () => connection.destroyed,
      letIn: () => {
        connection.once('close', () => this.#left(connection));
        answer(true);
      },
      turnAway: (retryAfterMs) => {
        this.#turnedAway.set(connection, retryAfterMs);
        answer(true);
      },
      drop: () => answer(false),
    });
  }

  /** Upgraded: it may join, or hears why not. */
  connected(connection: Connection): void {
    const retryAfterMs = this.#turnedAway.get(connection.request.socket);
    if (retryAfterMs !== undefined) turnAway(connection, wireErrorOf('busy', undefined, { retryAfterMs }));
  }

  /** It has its state, or will not get it: the next one's turn. */
  greeted(connection: Connection): void {
    this.#left(connection.request.socket);
  }

  /** Where a connection comes from. What a client itself put into the header stands before what the proxy added. */
  addressOf(request: IncomingMessage): string {
    const forwarded = this.#config.trustProxy ? request.headers['x-forwarded-for'] : undefined;
    const last = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded)?.split(',').at(-1)?.trim();
    return last || (request.socket.remoteAddress ?? '');
  }

  /** Whoever waits is sent away; safe to repeat. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#line.close();
  }

  #left(connection: object): void {
    if (this.#lobby.leave(connection)) this.#line.advance();
  }
}
