/** Annotators over real sockets, in a process of their own, as plain Socket.IO clients. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { ANNOTATOR_NAMESPACE } from '../protocol/wire/index.ts';
import { serveParent } from './child.ts';
import { type Distribution, distribution } from './measure.ts';
import { RESULT, tokenOf } from './population.ts';

export type ClientsOrder =
  | { readonly connect: { readonly port: number; readonly annotatorIds: readonly number[] } }
  /** Everybody works as fast as they are answered, for so long. */
  | { readonly closedLoopMs: number; readonly kind: Kind }
  /** Cycles begin at fixed moments, whether the ones before are done or not. */
  | { readonly openLoopMs: number; readonly perSecond: number; readonly kind: Kind }
  | { readonly read: 'nothing' };

/** `work`: request, submit, request ... `next`: each submit brings the next task. `echo`: the bare server. */
export type Kind = 'work' | 'next' | 'echo';

export interface ClientsAnswer {
  readonly cycles: number;
  readonly elapsedMs: number;
  /** From asking for a task to having it; an echo's whole round trip. In the open loop from the intended moment. */
  readonly grant: Distribution | null;
  readonly submit: Distribution | null;
  readonly cpuMs: number;
}

interface Annotator {
  readonly socket: Socket;
  assignmentId: string | undefined;
}

interface Times {
  readonly grantMs: number[];
  readonly submitMs: number[];
}

interface Granted {
  readonly ok: boolean;
  readonly assignment?: { readonly id: string };
  readonly next?: { readonly assignment?: { readonly id: string } };
  readonly error?: { readonly code: string };
}

/** As large as a granted task on the wire. */
const ECHOED = { text: 'A word. '.repeat(75), result: RESULT };
const ACK_TIMEOUT_MS = 30_000;
const CONNECTED_AT_ONCE = 50;

async function connectAll(port: number, annotatorIds: readonly number[]): Promise<Annotator[]> {
  const annotators: Annotator[] = [];
  for (let i = 0; i < annotatorIds.length; i += CONNECTED_AT_ONCE) {
    const few = annotatorIds.slice(i, i + CONNECTED_AT_ONCE);
    annotators.push(...(await Promise.all(few.map((id) => connect(port, id)))));
  }
  return annotators;
}

function connect(port: number, annotatorId: number): Promise<Annotator> {
  const socket = io(`http://127.0.0.1:${port}${ANNOTATOR_NAMESPACE}`, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth: { token: tokenOf(annotatorId) },
  });
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve({ socket, assignmentId: undefined }));
    socket.once('connect_error', reject);
  });
}

async function request(annotator: Annotator): Promise<void> {
  const answer = await send(annotator, 'work:request', { requestId: randomUUID() });
  annotator.assignmentId = idOf(answer.assignment);
}

async function submit(annotator: Annotator, next: boolean): Promise<void> {
  const { assignmentId } = annotator;
  const message = { assignmentId, submissionId: randomUUID(), result: RESULT, ...(next ? { next } : {}) };
  const answer = await send(annotator, 'work:submit', message);
  annotator.assignmentId = next ? idOf(answer.next?.assignment) : undefined;
}

async function send({ socket }: Annotator, event: string, message: object): Promise<Granted> {
  const answer: Granted = await socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, message);
  if (!answer.ok) throw new Error(`${event} was refused: ${answer.error?.code}`);
  return answer;
}

function idOf(assignment: { readonly id: string } | undefined): string {
  if (assignment === undefined) throw new Error('the tasks ran out in the middle of a bench');
  return assignment.id;
}

/** One cycle. @param fromMs when it was meant to begin. @returns when the grant was there. */
async function cycle(annotator: Annotator, kind: Kind, fromMs: number, times: Times): Promise<void> {
  if (kind === 'echo') {
    await annotator.socket.timeout(ACK_TIMEOUT_MS).emitWithAck('echo', ECHOED);
    times.grantMs.push(performance.now() - fromMs);
    return;
  }
  if (annotator.assignmentId === undefined) {
    await request(annotator);
    times.grantMs.push(performance.now() - fromMs);
  }
  const submittedMs = performance.now();
  await submit(annotator, kind === 'next');
  times.submitMs.push(performance.now() - submittedMs);
}

async function closedLoop(
  annotators: readonly Annotator[],
  durationMs: number,
  kind: Kind,
  times: Times,
): Promise<number> {
  const startedMs = performance.now();
  let cycles = 0;
  await Promise.all(
    annotators.map(async (annotator) => {
      while (performance.now() - startedMs < durationMs) {
        await cycle(annotator, kind, performance.now(), times);
        cycles += 1;
      }
      // The next window may be of another kind: nobody carries a task into it.
      if (annotator.assignmentId !== undefined) await submit(annotator, false);
    }),
  );
  return cycles;
}

/**
 * Every cycle's time counts from the moment it was meant to begin: one that waits for a free annotator, or for a
 * timer, waits on the clock, so that a server that stalls cannot hide the requests it kept away.
 */
async function openLoop(
  annotators: readonly Annotator[],
  plan: { durationMs: number; perSecond: number; kind: Kind },
  times: Times,
): Promise<number> {
  const idle = [...annotators];
  const due: number[] = [];
  const underWay = new Set<Promise<void>>();
  const startedMs = performance.now();
  const total = Math.floor((plan.durationMs * plan.perSecond) / 1_000);
  const begin = (): void => {
    while (idle.length > 0 && due.length > 0) {
      const annotator = idle.pop();
      const fromMs = due.shift();
      if (annotator === undefined || fromMs === undefined) return;
      const running = cycle(annotator, plan.kind, fromMs, times).then(() => {
        underWay.delete(running);
        idle.push(annotator);
        begin();
      });
      underWay.add(running);
    }
  };
  for (let planned = 0; planned < total; ) {
    const nowMs = performance.now();
    for (; planned < total; planned += 1) {
      const atMs = startedMs + (planned * 1_000) / plan.perSecond;
      if (atMs > nowMs) break;
      due.push(atMs);
    }
    begin();
    await delay(1);
  }
  while (underWay.size > 0) await Promise.all(underWay);
  return total;
}

function serve(): void {
  let annotators: Annotator[] = [];
  serveParent<ClientsOrder, ClientsAnswer>(
    async (order) => {
      const times: Times = { grantMs: [], submitMs: [] };
      const startedMs = performance.now();
      let cycles = 0;
      if ('connect' in order) annotators = await connectAll(order.connect.port, order.connect.annotatorIds);
      if ('closedLoopMs' in order)
        cycles = await closedLoop(annotators, order.closedLoopMs, order.kind, times);
      if ('openLoopMs' in order) {
        const { openLoopMs: durationMs, perSecond, kind } = order;
        cycles = await openLoop(annotators, { durationMs, perSecond, kind }, times);
      }
      const { user, system } = process.cpuUsage();
      return {
        cycles,
        elapsedMs: performance.now() - startedMs,
        grant: times.grantMs.length > 0 ? distribution(times.grantMs) : null,
        submit: times.submitMs.length > 0 ? distribution(times.submitMs) : null,
        cpuMs: (user + system) / 1_000,
      };
    },
    async () => {
      for (const { socket } of annotators) socket.disconnect();
    },
  );
}

serve();
