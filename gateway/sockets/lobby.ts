/**
 * The connections that have not been admitted yet. They cost nothing to open, so they are limited, in all and per
 * address: who opens many keeps neither the others out nor this process busy.
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

  hasRoomFor(address: string): boolean {
    return this.#addresses.size < this.#max && (this.#counts.get(address) ?? 0) < this.#maxPerAddress;
  }

  enter(connection: object, address: string): void {
    if (this.#addresses.has(connection)) return;
    this.#addresses.set(connection, address);
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
  }

  /** Admitted or gone; safe to repeat. */
  leave(connection: object): void {
    const address = this.#addresses.get(connection);
    if (address === undefined) return;
    this.#addresses.delete(connection);
    const left = (this.#counts.get(address) ?? 0) - 1;
    if (left > 0) this.#counts.set(address, left);
    else this.#counts.delete(address);
  }
}
