import { makeRedisClient, type RedisClient } from './redis-bus.ts';

type Listener = (message: Buffer, channel: Buffer) => void;

/**
 * A pair of Redis clients in the shape that Socket.IO's sharded adapter takes for one. The adapter lets every promise of
 * its client go: a subscription made while Redis is away would be lost for good, and its rejection would end the process.
 *
 * F1 What was subscribed is wanted until it is unsubscribed, and is subscribed again after each connection.
 * F2 Nothing that the adapter does with it throws or rejects; while Redis is away, what is published is dropped.
 * F3 A message that the adapter cannot take is counted and dropped.
 */
export class FanOutRedis {
  /** For the adapter: two clusters on one Redis do not hear each other, and a room's messages reach those who have it. */
  readonly adapterOptions: { channelPrefix: string; subscriptionMode: 'dynamic' };
  readonly counts = { published: 0, dropped: 0, malformed: 0 };
  private readonly wanted = new Map<string, Listener>();
  private readonly publisher: RedisClient;
  private readonly subscriber: RedisClient;
  private readonly onError: (error: unknown) => void;
  private settling: Promise<void> = Promise.resolve();

  constructor(args: { url: string; clusterId: string; onError: (error: unknown) => void }) {
    this.adapterOptions = { channelPrefix: `baton:{${args.clusterId}}:io`, subscriptionMode: 'dynamic' };
    this.onError = args.onError;
    this.publisher = makeRedisClient(args.url, args.onError);
    this.subscriber = makeRedisClient(args.url, args.onError);
    this.subscriber.on('ready', () => {
      for (const channel of this.wanted.keys()) void this.settle(channel);
    });
  }

  /** @throws when Redis cannot be reached. */
  async open(): Promise<void> {
    await Promise.all([this.publisher.connect(), this.subscriber.connect()]);
  }

  async close(): Promise<void> {
    this.wanted.clear();
    await this.settling;
    for (const client of [this.publisher, this.subscriber]) {
      if (client.isReady) await client.close();
      else if (client.isOpen) client.destroy();
    }
  }

  /** Called by the adapter. */
  async sSubscribe(channel: string, listener: Listener): Promise<void> {
    this.wanted.set(channel, listener);
    await this.settle(channel);
  }

  /** Called by the adapter. */
  async sUnsubscribe(channels: string | readonly string[]): Promise<void> {
    for (const channel of [channels].flat()) {
      this.wanted.delete(channel);
      await this.settle(channel);
    }
  }

  /** Called by the adapter. */
  async sPublish(channel: string, message: string | Buffer): Promise<void> {
    try {
      await this.publisher.sPublish(channel, message);
      this.counts.published += 1;
    } catch (error) {
      this.counts.dropped += 1;
      this.onError(error);
    }
  }

  /** One after the other: a channel that is left and entered again must end as it is wanted. Never rejects. */
  private settle(channel: string): Promise<void> {
    this.settling = this.settling.then(async () => {
      if (!this.subscriber.isReady) return;
      try {
        // One listener only, also when the client has brought the subscription back by itself.
        await this.subscriber.sUnsubscribe(channel);
        if (this.wanted.has(channel))
          await this.subscriber.sSubscribe(channel, (text, from) => this.take(channel, text, from), true);
      } catch (error) {
        this.onError(error);
      }
    });
    return this.settling;
  }

  private take(channel: string, message: Buffer, from: Buffer): void {
    try {
      this.wanted.get(channel)?.(message, from);
    } catch {
      // Whoever may publish can send anything; the adapter trusts what it reads.
      this.counts.malformed += 1;
    }
  }
}
