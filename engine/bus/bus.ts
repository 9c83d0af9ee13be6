/** Where a process is reached on the bus: a random name that it gives itself at its start. */
export type Address = string;

/** What travels: JSON. The bus does not look inside. */
export type BusPayload = { readonly [key: string]: unknown };

/** @param from as the sender named itself; a stranger with the right to publish could lie. */
export type BusReceiver = (payload: unknown, from: Address) => void;

/**
 * Messages between the processes of one cluster: quick, and with no promise at all. Postgres is the truth; whatever a
 * message says can be learned there, or is asked again.
 *
 * B1 At most once as the sender means it; a fault may lose, repeat, delay or reorder. Receivers must stand all four.
 * B2 `send` and `broadcast` never throw, never wait and never queue without bound: while the bus is away, or over a
 *    limit, the message is dropped and counted.
 * B3 What is sent to one address in one turn of the event loop travels together.
 * B4 A message that cannot be read is dropped and counted; the receiver is not called.
 * B5 After a loss of the connection everything comes back by itself, subscriptions too; `onUp` is called then.
 */
export interface Bus {
  readonly address: Address;
  /** Begins to receive. Messages that came before are lost. @throws when the bus cannot be reached or refuses. */
  open(receive: BusReceiver): Promise<void>;
  send(to: Address, payload: BusPayload): void;
  /** To every other process. */
  broadcast(payload: BusPayload): void;
  /** False while what is sent now would be dropped. */
  readonly isUp: boolean;
  /** Called each time that the bus is back after it was away. @returns stops the calls. */
  onUp(listener: () => void): () => void;
  readonly counts: Readonly<BusCounts>;
  close(): Promise<void>;
}

export interface BusCounts {
  sent: number;
  received: number;
  /** Not sent: the bus was away, or the message or the queue too large. */
  dropped: number;
  /** Received and not readable, or from another version of the envelope. */
  malformed: number;
}
