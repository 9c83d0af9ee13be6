import { createClient } from 'redis';
import type { Address, Bus, BusCounts, BusPayload, BusReceiver } from './bus.ts';
import { Outgoing, seal, unseal } from './envelope.ts';

const CONNECT_MS = 5_000;
const PING_MS = 2_000;
/** A connection on which nothing is heard for so long, pings included, is given up, in ms. */
const SILENCE_MS = 6_000;
const RETRY_MS_MAX = 2_000;
/** Publications that wait for Redis to take them. */
const UNTAKEN_MAX = 10_000;

export type BusErrorCode = 'unreachable' | 'no_rights' | 'too_old';

/** Redis cannot be used as it is: the message says what to do. */
export class BusError extends Error {
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'BusError';
    this.code = code;
  }
}

export type RedisClient = ReturnType<typeof makeRedisClient>;

/**
 * A client that comes back by itself, for ever, and never keeps commands for later: a queue that grows while Redis is away
 * would be a queue without a bound.
 *
 * @param onError every failure of the connection; without a listener the first would end the process.
 */
export function makeRedisClient(url: string, onError: (error: unknown) => void) {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    pingInterval: PING_MS,
    socket: {
      connectTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      reconnectStrategy: (retries) =>
        Math.min(RETRY_MS_MAX, 50 * 2 ** Math.min(retries, 10)) * (0.5 + Math.random() / 2),
    },
  });
  client.on('error', onError);
  return client;
}

/**
 * The bus over Redis 7 or later, by sharded publish and subscribe: one channel for each process and one for all. Redis
 * keeps nothing; what is published while nobody listens is gone.
 */
export class RedisBus implements Bus {
  readonly address: Address;
  readonly counts: BusCounts = { sent: 0, received: 0, dropped: 0, malformed: 0 };
  private readonly url: string;
  private readonly prefix: string;
  private readonly publisher: RedisClient;
  private readonly subscriber: RedisClient;
  private readonly onError: (error: unknown) => void;
  private readonly outgoing: Outgoing;
  private readonly listeners = new Set<() => void>();
  private receive: BusReceiver | undefined;
  private isSubscribed = false;
  private isClosed = false;
  private closing: Promise<void> | undefined;
  private wasUp = false;
  private untaken = 0;
  private settling: Promise<void> = Promise.resolve();

  /** @param clusterId two clusters on one Redis do not hear each other. */
  constructor(args: {
    url: string;
    clusterId: string;
    address: Address;
    onError: (error: unknown) => void;
  }) {
    this.url = args.url;
    this.address = args.address;
    this.prefix = `baton:{${args.clusterId}}:`;
    this.onError = args.onError;
    this.publisher = makeRedisClient(args.url, this.onError);
    this.subscriber = makeRedisClient(args.url, this.onError);
    this.outgoing = new Outgoing({
      defer: (run) => setImmediate(run),
      publish: (channel, texts) => this.publish(channel, texts),
    });
  }

  get isUp(): boolean {
    return !this.isClosed && this.publisher.isReady && this.subscriber.isReady && this.isSubscribed;
  }

  async open(receive: BusReceiver): Promise<void> {
    await this.probe();
    this.receive = receive;
    for (const client of [this.publisher, this.subscriber]) {
      client.on('ready', () => void this.settled());
    }
    this.subscriber.on('reconnecting', () => {
      this.isSubscribed = false;
      this.wasUp = false;
    });
    this.publisher.on('reconnecting', () => {
      this.wasUp = false;
    });
    await Promise.all([this.publisher.connect(), this.subscriber.connect()]);
    await this.settled();
  }

  send(to: Address, payload: BusPayload): void {
    if (this.isUp && this.untaken < UNTAKEN_MAX && this.outgoing.add(to, payload)) this.counts.sent += 1;
    else this.counts.dropped += 1;
  }

  broadcast(payload: BusPayload): void {
    this.send('all', payload);
  }

  onUp(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.receive = undefined;
    // What was said last, above all that this process leaves, is on its way first: it is gathered in one turn of the
    // event loop and published in the next.
    for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    this.isClosed = true;
    for (const client of [this.publisher, this.subscriber]) {
      if (client.isReady) await client.close();
      else if (client.isOpen) client.destroy();
    }
  }

  /** Asked with a client of its own that does not try again: what is wrong is said at the start, not in a log. */
  private async probe(): Promise<void> {
    const client = createClient({
      url: this.url,
      socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
    });
    client.on('error', this.onError);
    try {
      await client.connect();
      await client.sSubscribe(`${this.prefix}${this.address}`, () => undefined);
      await client.sUnsubscribe(`${this.prefix}${this.address}`);
      await client.sPublish(`${this.prefix}all`, seal(this.address, []));
    } catch (error) {
      throw asBusError(error);
    } finally {
      if (client.isOpen) client.destroy();
    }
  }

  /** After each (re)connection: subscribes, whatever the client remembers of it, and says that the bus is back. */
  private settled(): Promise<void> {
    // Both clients may become ready at the same moment, and a subscription made twice is heard twice.
    const settling = this.settling.then(() => this.settle());
    this.settling = settling;
    return settling;
  }

  private async settle(): Promise<void> {
    if (!this.publisher.isReady || !this.subscriber.isReady || this.isClosed) return;
    try {
      if (!this.isSubscribed) {
        for (const channel of [this.address, 'all']) await this.subscribe(`${this.prefix}${channel}`);
        this.isSubscribed = true;
      }
    } catch (error) {
      this.onError(error);
      return;
    }
    if (this.wasUp || !this.isUp) return;
    this.wasUp = true;
    for (const listener of this.listeners) listener();
  }

  private async subscribe(channel: string): Promise<void> {
    // One listener only, also when the client has brought the subscription back by itself.
    await this.subscriber.sUnsubscribe(channel);
    await this.subscriber.sSubscribe(channel, (text) => this.take(text));
  }

  private publish(channel: string, texts: readonly string[]): void {
    this.untaken += 1;
    this.publisher
      .sPublish(`${this.prefix}${channel}`, seal(this.address, texts))
      .catch((error: unknown) => {
        this.counts.dropped += texts.length;
        this.onError(error);
      })
      .finally(() => {
        this.untaken -= 1;
      });
  }

  private take(text: string): void {
    const message = unseal(text);
    if (!message) {
      this.counts.malformed += 1;
      return;
    }
    if (message.from === this.address) return;
    for (const payload of message.payloads) {
      this.counts.received += 1;
      try {
        this.receive?.(payload, message.from);
      } catch (error) {
        this.onError(error);
      }
    }
  }
}

function asBusError(error: unknown): BusError {
  const text = error instanceof Error ? error.message : String(error);
  if (/NOPERM|NOAUTH|WRONGPASS/.test(text)) {
    return new BusError(
      'no_rights',
      'Redis refuses the user of REDIS_URL: it needs +ssubscribe, +sunsubscribe, +spublish and &baton:* channels.',
      error,
    );
  }
  if (/unknown command/i.test(text)) {
    return new BusError(
      'too_old',
      'Redis has no sharded publish and subscribe: 7.0 or later is needed.',
      error,
    );
  }
  return new BusError('unreachable', 'Redis does not answer at REDIS_URL.', error);
}
