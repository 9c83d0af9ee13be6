import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { BatonError } from '../../client/index.ts';
import { ANNOTATOR_NAMESPACE, type ClientEvent, wireFailure } from '../../protocol/wire/index.ts';
import type { Dice } from './dice.ts';
import type { Recorder } from './recorder.ts';

const ACK_MS = 4_000;

/** A client that is broken: it takes work, never says that it is alive, and now and then answers much too late. */
export class SilentPerson {
  private readonly stopping = new AbortController();
  private calls = 0;
  private readonly args: {
    readonly name: string;
    readonly annotatorId: number;
    readonly token: string;
    readonly gateways: readonly string[];
    readonly dice: Dice;
    readonly recorder: Recorder;
  };

  constructor(args: SilentPerson['args']) {
    this.args = args;
  }

  async work(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.once();
      await this.pause(this.args.dice.between(500, 3_000));
    }
  }

  stop(): void {
    this.stopping.abort();
  }

  private async once(): Promise<void> {
    const { gateways, token, dice, annotatorId, name, recorder } = this.args;
    const tell = recorder.tap(annotatorId, `${name}.silent`);
    const socket = io(`${dice.pick(gateways)}${ANNOTATOR_NAMESPACE}`, {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      auth: { token },
    });
    socket.onAny((event: string, body: unknown) => tell({ kind: 'pushed', event, body }));
    const call = async (event: ClientEvent, message: object): Promise<string | undefined> => {
      const attempt = ++this.calls;
      tell({ kind: 'sent', attempt, event, message });
      try {
        const answer: unknown = await socket.timeout(ACK_MS).emitWithAck(event, message);
        const failure = wireFailure.safeParse(answer);
        if (failure.success) {
          tell({ kind: 'failed', attempt, error: new BatonError(failure.data.error) });
          return undefined;
        }
        tell({ kind: 'answered', attempt, answer });
        return JSON.stringify(answer).match(/"id":"([\d-]+)"/)?.[1];
      } catch {
        // No ack came in time, for whatever reason: nobody knows what became of it.
        const error = new BatonError({ code: 'timed_out', message: 'No ack.', retryable: true });
        tell({ kind: 'failed', attempt, error });
        return undefined;
      }
    };
    const held = await call('work:request', { requestId: `${name}-${this.calls}` });
    await this.pause(dice.between(8_000, 14_000));
    if (held !== undefined && dice.chance(0.5)) {
      const result = { by: name, text: `late ${this.calls}` };
      await call('work:submit', { assignmentId: held, submissionId: `${name}-${this.calls}`, result });
    }
    socket.disconnect();
  }

  private async pause(ms: number): Promise<void> {
    try {
      await delay(ms, undefined, { signal: this.stopping.signal });
    } catch (error) {
      if (!this.stopping.signal.aborted) throw error;
    }
  }
}
