/**
 * Those who are being let in: from the upgrade of their connection, through the look at their token, until they have
 * their state. Their number is limited, in all and per address, so that each is served quickly and nobody who shows no token
 * keeps the others out.
 */
export class Lobby {
  readonly #addresses = new Map<object, string>();
  readonly #counts = new Map<string, number>();
  readonly #max: number;
  readonly #maxPerAddress: number;

  constructor(args: { max: number; maxPerAddress: number }) {
    this.#max = args.max;
    this.#maxPerAddress = args.maxPerAddress;
  }

  get isFull(): boolean {
    return this.#addresses.size >= this.#max;
  }

  hasRoomFor(address: string): boolean {
    return !this.isFull && (this.#counts.get(address) ?? 0) < this.#maxPerAddress;
  }

  enter(connection: object, address: string): void {
    if (this.#addresses.has(connection)) return;
    this.#addresses.set(connection, address);
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
  }

  /** Greeted or gone; safe to repeat. @returns whether it was there. */
  leave(connection: object): boolean {
    const address = this.#addresses.get(connection);
    if (address === undefined) return false;
    this.#addresses.delete(connection);
    const left = (this.#counts.get(address) ?? 0) - 1;
    if (left > 0) this.#counts.set(address, left);
    else this.#counts.delete(address);
    return true;
  }
}
