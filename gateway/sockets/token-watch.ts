import type { AnnotatorId } from '../../engine/ids.ts';
import type { Authenticator } from '../auth/principal.ts';

/** Asks again, now and then, whether the token that opened a connection is still good. */
export class TokenWatch {
  readonly #token: string;
  readonly #annotatorId: AnnotatorId;
  readonly #authenticator: Authenticator;
  readonly #nowMs: () => number;
  readonly #onLost: (error: unknown) => void;
  #checkedAtMs: number;
  #check: Promise<boolean> | undefined;

  /** @param onLost told when the tokens could not be read. */
  constructor(args: {
    token: string;
    annotatorId: AnnotatorId;
    authenticator: Authenticator;
    nowMs: () => number;
    onLost: (error: unknown) => void;
  }) {
    this.#token = args.token;
    this.#annotatorId = args.annotatorId;
    this.#authenticator = args.authenticator;
    this.#nowMs = args.nowMs;
    this.#onLost = args.onLost;
    this.#checkedAtMs = args.nowMs();
  }

  /** Milliseconds since the token was last known to be good. */
  ageMs(): number {
    return this.#nowMs() - this.#checkedAtMs;
  }

  /** Never rejects; checks that come together share one look. */
  isGood(): Promise<boolean> {
    this.#check ??= this.#look().finally(() => {
      this.#check = undefined;
    });
    return this.#check;
  }

  async #look(): Promise<boolean> {
    try {
      const principal = await this.#authenticator.authenticate(this.#token);
      if (principal?.role !== 'annotator' || principal.annotatorId !== this.#annotatorId) return false;
      this.#checkedAtMs = this.#nowMs();
      return true;
    } catch (error) {
      // Who was let in stays in while the tokens cannot be read: the engine decides whether work can go on.
      this.#onLost(error);
      return true;
    }
  }
}
