import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import { backoffMs } from '../../client/backoff.ts';
import { wireError } from '../../protocol/errors.ts';
import { ANNOTATOR_NAMESPACE } from '../../protocol/wire/index.ts';
import { tokenOf } from '../population.ts';

const ACK_TIMEOUT_MS = 30_000;
/** As the SDK: a connection without its state by then is given up. */
const GREET_TIMEOUT_MS = 20_000;
const TRIES_MAX = 40;
const AGAIN_MS = 250;
const BACKOFF = { baseMs: 250, maxMs: 5_000 } as const;

const granted = z.object({ assignment: z.object({ id: z.string(), expiresInMs: z.number() }) });
const saved = z.object({ saved: z.literal(true) });
const beat = z.object({ alive: z.array(z.object({ assignmentId: z.string() })) });
const state = z.object({ assignments: z.array(z.object({ id: z.string(), draft: z.unknown().optional() })) });
const closing = z.object({ error: wireError });

export interface PersonPlan {
  readonly annotatorId: number;
  readonly project: string;
  readonly withDraft: boolean;
}

/**
 * `sdk`: waits before each attempt as the SDK does. `together`: everybody at the same moment, without a wait before the
 * first attempt and with no chance in the later ones: the worst that clients can do which keep to the retry times.
 */
export type Manners = 'sdk' | 'together';

/** What one person went through until they had their state back. */
export interface Return {
  readonly backMs: number;
  readonly refusals: readonly string[];
  readonly lostLease: boolean;
  readonly lostDraft: boolean;
}

/** An annotator with one lease, over plain Socket.IO, who behaves as docs/protocol.md asks. */
export class Person {
  private readonly plan: PersonPlan;
  private readonly socket: Socket;
  private assignmentId = '';
  private beating: NodeJS.Timeout | undefined;
  private onceState: (body: unknown) => void = () => undefined;

  constructor(plan: PersonPlan, url: string) {
    this.plan = plan;
    this.socket = io(`${url}${ANNOTATOR_NAMESPACE}`, {
      transports: ['websocket'],
      forceNew: true,
      autoConnect: false,
      reconnection: false,
      auth: { token: tokenOf(plan.annotatorId) },
    });
    this.socket.on('session:state', (body: unknown) => this.onceState(body));
  }

  /** Connects, leases a task, saves a draft. @throws when something is refused. */
  async begin(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.onceState = () => resolve();
      this.socket.once('connect_error', reject);
      this.socket.connect();
    });
    const asked = { requestId: randomUUID(), projects: [this.plan.project] };
    const { assignment } = await this.insist('work:request', asked, granted);
    this.assignmentId = assignment.id;
    if (this.plan.withDraft) {
      await this.insist('work:draft', { assignmentId: assignment.id, draft: this.draft }, saved);
    }
    // Spread as those of people who came at different times.
    this.beating = setInterval(() => void this.beat(), assignment.expiresInMs * (0.25 + Math.random() / 12));
  }

  /** Resolves when, after the connection was lost, the state is there again. @param url where they come back. */
  comeBack(url: string, manners: Manners): Promise<Return> {
    const random = manners === 'sdk' ? Math.random : () => 1;
    const refusals: string[] = [];
    const times: { lostMs?: number; failures: number; goodbye?: number | undefined } = { failures: 0 };
    const { socket } = this;
    return new Promise((resolve, reject) => {
      let greeting: NodeJS.Timeout | undefined;
      const open = (): void => {
        greeting = setTimeout(() => {
          socket.disconnect();
          failed('no_state_in_time');
        }, GREET_TIMEOUT_MS);
        socket.connect();
      };
      const failed = (why: string, retryAfterMs?: number): void => {
        clearTimeout(greeting);
        refusals.push(why);
        times.failures += 1;
        const wait = backoffMs({ ...BACKOFF, attempt: times.failures, random, retryAfterMs });
        setTimeout(open, times.failures === 1 && manners === 'together' ? 0 : wait);
      };
      socket.on('session:closed', (body: unknown) => {
        const { error } = closing.parse(body);
        refusals.push(error.code);
        times.goodbye = error.retryAfterMs;
      });
      socket.on('disconnect', () => {
        times.lostMs ??= performance.now();
        // Another port stands for another server behind the same balancer.
        Object.assign(socket.io, { uri: `${url}${ANNOTATOR_NAMESPACE}` });
        failed('disconnected', times.goodbye);
        times.goodbye = undefined;
      });
      socket.on('connect_error', (error: Error & { data?: unknown }) => {
        const refusal = wireError.safeParse(error.data);
        if (!refusal.success) return failed('no_connection');
        const { code, retryable, retryAfterMs } = refusal.data;
        if (retryable) failed(code, retryAfterMs);
        else reject(new Error(`not let in again: ${code}`));
      });
      this.onceState = (body) => {
        if (times.lostMs === undefined) return;
        clearTimeout(greeting);
        for (const event of ['session:closed', 'disconnect', 'connect_error']) socket.off(event);
        this.onceState = () => undefined;
        // The loss of the connection itself is not a refusal.
        resolve({
          backMs: performance.now() - times.lostMs,
          refusals: refusals.slice(1),
          ...this.compare(body),
        });
      };
    });
  }

  /** One heartbeat. @returns whether the lease is still theirs. */
  async beat(): Promise<boolean> {
    if (!this.socket.connected) return false;
    const answer = await this.ask('work:heartbeat', { assignmentIds: [this.assignmentId] }).catch(
      // The connection went, or was too slow: the next beat is the remedy.
      () => undefined,
    );
    const heard = beat.safeParse(answer);
    return heard.success && heard.data.alive.length === 1;
  }

  end(): void {
    clearInterval(this.beating);
    this.socket.disconnect();
  }

  /** Asked again while shards find their engines, which they do when a cluster has just been started. */
  private async insist<Answer>(event: string, message: object, reader: z.ZodType<Answer>): Promise<Answer> {
    for (let tries = 1; ; tries += 1) {
      const answer = await this.ask(event, message);
      const reading = reader.safeParse(answer);
      if (reading.success) return reading.data;
      if (tries === TRIES_MAX) throw new Error(`${event} was answered with ${JSON.stringify(answer)}`);
      await delay(AGAIN_MS);
    }
  }

  private get draft(): object {
    return { half: `of ${this.plan.annotatorId}` };
  }

  private compare(body: unknown): Pick<Return, 'lostLease' | 'lostDraft'> {
    const mine = state.parse(body).assignments.find(({ id }) => id === this.assignmentId);
    const wanted = this.plan.withDraft ? JSON.stringify(this.draft) : undefined;
    return { lostLease: mine === undefined, lostDraft: JSON.stringify(mine?.draft) !== wanted };
  }

  private ask(event: string, message: object): Promise<unknown> {
    return this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, message);
  }
}
