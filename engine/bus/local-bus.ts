import type { Address, Bus, BusCounts, BusPayload, BusReceiver } from './bus.ts';
import { Outgoing, seal, unseal } from './envelope.ts';

const TO_ALL = '*';

/** Carries publications between buses of one process, as Redis does between processes. */
export class LocalHub {
  private readonly buses = new Map<Address, LocalBus>();
  private isCut = false;

  /** @param defer runs its argument in a later turn of the event loop. */
  join(address: Address, defer: (run: () => void) => void, onError: (error: unknown) => void): LocalBus {
    return new LocalBus({ hub: this, address, defer, onError });
  }

  /** Nothing is carried until `mend`. */
  cut(): void {
    this.isCut = true;
  }

  mend(): void {
    this.isCut = false;
    for (const bus of this.buses.values()) bus.cameBack();
  }

  get isUp(): boolean {
    return !this.isCut;
  }

  enter(bus: LocalBus): void {
    this.buses.set(bus.address, bus);
  }

  leave(bus: LocalBus): void {
    this.buses.delete(bus.address);
  }

  /** Any text at all: what is published may be anybody's. */
  publish(channel: string, text: string, from: Address): void {
    if (this.isCut) return;
    if (channel !== TO_ALL) this.buses.get(channel)?.take(text);
    else for (const bus of [...this.buses.values()]) if (bus.address !== from) bus.take(text);
  }
}

/** The bus inside one process: for a process alone with its parts, and for tests. Everything passes through JSON. */
export class LocalBus implements Bus {
  readonly address: Address;
  readonly counts: BusCounts = { sent: 0, received: 0, dropped: 0, malformed: 0 };
  private readonly hub: LocalHub;
  private readonly defer: (run: () => void) => void;
  private readonly onError: (error: unknown) => void;
  private readonly outgoing: Outgoing;
  private readonly listeners = new Set<() => void>();
  private receive: BusReceiver | undefined;

  constructor(args: {
    hub: LocalHub;
    address: Address;
    defer: (run: () => void) => void;
    onError: (error: unknown) => void;
  }) {
    this.address = args.address;
    this.hub = args.hub;
    this.defer = args.defer;
    this.onError = args.onError;
    this.outgoing = new Outgoing({
      defer: args.defer,
      publish: (channel, texts) => this.hub.publish(channel, seal(this.address, texts), this.address),
    });
  }

  get isUp(): boolean {
    return this.hub.isUp && this.receive !== undefined;
  }

  async open(receive: BusReceiver): Promise<void> {
    this.receive = receive;
    this.hub.enter(this);
  }

  send(to: Address, payload: BusPayload): void {
    if (this.isUp && this.outgoing.add(to, payload)) this.counts.sent += 1;
    else this.counts.dropped += 1;
  }

  broadcast(payload: BusPayload): void {
    this.send(TO_ALL, payload);
  }

  onUp(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.receive = undefined;
    this.hub.leave(this);
  }

  cameBack(): void {
    for (const listener of this.listeners) listener();
  }

  take(text: string): void {
    this.defer(() => {
      const message = unseal(text);
      if (!message) {
        this.counts.malformed += 1;
        return;
      }
      for (const payload of message.payloads) {
        this.counts.received += 1;
        try {
          this.receive?.(payload, message.from);
        } catch (error) {
          this.onError(error);
        }
      }
    });
  }
}
