/** Allows `perSecond` in the long run and `burst` at once. Holds two numbers, so every connection can have one. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledAtMs: number;

  constructor(args: { perSecond: number; burst: number; nowMs: number }) {
    this.#perSecond = args.perSecond;
    this.#burst = Math.max(1, args.burst);
    this.#tokens = this.#burst;
    this.#filledAtMs = args.nowMs;
  }

  /** @returns 0 when a token was taken, else milliseconds until there will be one. */
  take(nowMs: number): number {
    const gained = ((nowMs - this.#filledAtMs) * this.#perSecond) / 1_000;
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, gained));
    this.#filledAtMs = nowMs;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return Math.ceil(((1 - this.#tokens) * 1_000) / this.#perSecond);
  }
}
