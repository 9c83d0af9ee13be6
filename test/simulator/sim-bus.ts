import type { Address, Bus, BusCounts, BusPayload, BusReceiver } from '../../engine/bus/bus.ts';
import type { SimProcess } from './sim-process.ts';

/** What may happen to one message: how often it arrives, and when. */
export type Fate = () => readonly number[];

/** The bus between simulated processes: messages are lost, repeated, delayed and reordered. */
export class SimNet {
  readonly buses = new Map<Address, SimBus>();
  isCut = false;
  readonly fate: Fate;

  /** @param fate the delays in ms of each copy of a message that arrives; none: it is lost. */
  constructor(fate: Fate) {
    this.fate = fate;
  }

  mend(): void {
    this.isCut = false;
    for (const bus of this.buses.values()) bus.cameBack();
  }
}

export class SimBus implements Bus {
  readonly address: Address;
  readonly counts: BusCounts = { sent: 0, received: 0, dropped: 0, malformed: 0 };
  private readonly net: SimNet;
  private readonly process: SimProcess;
  private readonly listeners = new Set<() => void>();
  private receive: BusReceiver | undefined;

  constructor(net: SimNet, process: SimProcess, address: Address) {
    this.net = net;
    this.process = process;
    this.address = address;
  }

  get isUp(): boolean {
    return !this.net.isCut;
  }

  async open(receive: BusReceiver): Promise<void> {
    this.receive = receive;
    this.net.buses.set(this.address, this);
  }

  send(to: Address, payload: BusPayload): void {
    this.net.buses.get(to)?.arrive(JSON.stringify(payload), this.address);
  }

  broadcast(payload: BusPayload): void {
    for (const address of this.net.buses.keys()) if (address !== this.address) this.send(address, payload);
  }

  onUp(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.net.buses.delete(this.address);
  }

  cameBack(): void {
    this.process.run(0, () => {
      for (const listener of this.listeners) listener();
    });
  }

  private arrive(text: string, from: Address): void {
    if (this.net.isCut) return;
    for (const delayMs of this.net.fate())
      this.process.run(delayMs, () => this.receive?.(JSON.parse(text), from));
  }
}
