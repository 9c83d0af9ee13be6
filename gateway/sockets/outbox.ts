import type { Socket } from 'socket.io';
import type { ClientToServerEvents, ServerToClientEvents } from '../../protocol/wire/index.ts';
import type { UnnumberedPush } from './translate.ts';

export type AnnotatorSocket = Socket<ClientToServerEvents, ServerToClientEvents>;

/**
 * What goes out on one connection, in order and numbered.
 *
 * O1. Pushes that come while a state is being read are held, and follow the state: none is lost, none overtakes it.
 * O2. Every push has a number, one higher than the push before; a state carries the number of the last push before it.
 * O3. A client that does not read is cut off: what waits to be written to it is limited.
 */
export class Outbox {
  readonly #socket: AnnotatorSocket;
  readonly #messagesMax: number;
  readonly #onOverflow: () => void;
  #seq = 0;
  #statesUnderWay = 0;
  #held: UnnumberedPush[] = [];
  #unwritten = 0;

  constructor(args: { socket: AnnotatorSocket; messagesMax: number; onOverflow: () => void }) {
    this.#socket = args.socket;
    this.#messagesMax = args.messagesMax;
    this.#onOverflow = args.onOverflow;
    args.socket.conn.on('drain', () => {
      this.#unwritten = 0;
    });
  }

  push(push: UnnumberedPush): void {
    if (this.#statesUnderWay === 0) {
      this.#emit(push);
      return;
    }
    this.#held.push(push);
    if (this.#held.length > this.#messagesMax) this.#onOverflow();
  }

  /** From here until `stateSent`, pushes are held. */
  stateAsked(): void {
    this.#statesUnderWay += 1;
  }

  numbered<State extends object>(state: State): State & { seq: number } {
    return { ...state, seq: this.#seq };
  }

  /** The state is on its way, or will not come; what was held follows. */
  stateSent(): void {
    this.#statesUnderWay -= 1;
    if (this.#statesUnderWay > 0) return;
    const held = this.#held;
    this.#held = [];
    for (const push of held) this.#emit(push);
  }

  /** Writes through the count of what is not yet written. */
  write(send: () => void): void {
    this.#unwritten += 1;
    if (this.#unwritten > this.#messagesMax) this.#onOverflow();
    else send();
  }

  discard(): void {
    this.#held = [];
  }

  #emit(push: UnnumberedPush): void {
    this.#seq += 1;
    const seq = this.#seq;
    this.write(() => {
      switch (push.event) {
        case 'work:assigned':
          this.#socket.emit(push.event, { seq, ...push.body });
          return;
        case 'work:expiring':
          this.#socket.emit(push.event, { seq, ...push.body });
          return;
        case 'work:revoked':
          this.#socket.emit(push.event, { seq, ...push.body });
      }
    });
  }
}
