import type { Address, Bus } from '../bus/bus.ts';
import type { Clock, Timer } from '../clock.ts';
import type { EngineContext } from '../context.ts';
import type { AnnotatorId, ProjectId } from '../ids.ts';
import { type Refusal, refuse } from '../refusals.ts';
import { type ArgsOf, isMethod, MESSAGE, METHODS, type MethodName, type ResultOf } from './messages.ts';
import type { NodeDoor, NodePush } from './node-door.ts';

/** Without an answer by then the caller is told to try again, in ms. What it asked may have been done. */
const CALL_MS = 5_000;
/** Calls that wait for an answer, over all peers. */
const CALLS_MAX = 20_000;

interface Pending {
  readonly to: Address;
  readonly settle: (result: unknown) => void;
  readonly timer: Timer;
}

/** What came from other nodes. */
export interface PeerEvents {
  readonly push: (from: Address, seq: number, to: AnnotatorId, push: NodePush) => void;
  readonly feed: (projectId: ProjectId, seq: number) => void;
  /** Some node took, gave back, joined or left. */
  readonly changed: () => void;
}

/**
 * The other nodes, over the bus: calls with answers, pushes, news.
 *
 * P1 A call ends: with the answer, or as `unavailable` when the deadline passes, the bus is away or the peer is gone.
 *    Every call is safe to repeat, and what comes twice is done once.
 * P2 What cannot be understood is counted by the incident and dropped. Nothing that comes in throws out of here.
 */
export class Peers {
  private readonly pending = new Map<number, Pending>();
  private readonly doors = new Map<Address, NodeDoor>();
  private readonly sentPushes = new Map<Address, number>();
  private readonly feeds = new Map<ProjectId, number>();
  private lastCall = 0;
  private changedSoon = false;
  private readonly args: {
    readonly bus: Bus;
    readonly clock: Clock;
    readonly retryAfterMs: number;
    /** This process's own engine; nothing while it is not ready to serve. */
    readonly door: () => NodeDoor | undefined;
    readonly events: PeerEvents;
    readonly incident: EngineContext['incident'];
  };

  constructor(args: Peers['args']) {
    this.args = args;
  }

  /** @throws when the bus refuses. */
  async open(): Promise<void> {
    await this.args.bus.open((payload, from) => this.receive(payload, from));
  }

  async close(): Promise<void> {
    for (const call of [...this.pending.values()]) call.settle(this.unavailable());
    await this.args.bus.close();
  }

  door(address: Address): NodeDoor {
    let door = this.doors.get(address);
    if (!door) {
      door = remoteDoor((method, args) => this.call(address, method, args));
      this.doors.set(address, door);
    }
    return door;
  }

  /** The node is no more: who waits for its answer is told at once. */
  forget(address: Address): void {
    this.doors.delete(address);
    this.sentPushes.delete(address);
    for (const call of [...this.pending.values()]) if (call.to === address) call.settle(this.unavailable());
  }

  push(gateway: Address, to: AnnotatorId, push: NodePush): void {
    const seq = this.pushesTo(gateway) + 1;
    this.sentPushes.set(gateway, seq);
    this.args.bus.send(gateway, { t: 'push', seq, to, push });
  }

  pushesTo(gateway: Address): number {
    return this.sentPushes.get(gateway) ?? 0;
  }

  /** News of commits travel together, once a turn: only the last number of a project matters. */
  feed(projectId: ProjectId, seq: number): void {
    if (this.feeds.size === 0) {
      this.args.clock.defer(() => {
        this.args.bus.broadcast({ t: 'feed', feed: [...this.feeds] });
        this.feeds.clear();
      });
    }
    this.feeds.set(projectId, seq);
  }

  announce(): void {
    if (this.changedSoon) return;
    this.changedSoon = true;
    this.args.clock.defer(() => {
      this.changedSoon = false;
      this.args.bus.broadcast({ t: 'changed' });
    });
  }

  private call<Name extends MethodName>(
    to: Address,
    name: Name,
    args: ArgsOf<Name>,
  ): Promise<ResultOf<Name> | Refusal> {
    const { bus, clock } = this.args;
    if (!bus.isUp || this.pending.size >= CALLS_MAX) return Promise.resolve(this.unavailable());
    const id = ++this.lastCall;
    return new Promise((resolve) => {
      const settle = (result: unknown) => {
        this.pending.delete(id);
        timer.cancel();
        const read = METHODS[name].result.safeParse(result);
        if (!read.success) this.dropped(`answer to ${name}`);
        // The schema that was just passed is this method's: the table of methods says so, one by one.
        resolve(read.success ? (read.data as ResultOf<Name>) : this.unavailable());
      };
      const timer = clock.setTimer(CALL_MS, () => settle(this.unavailable()));
      this.pending.set(id, { to, settle, timer });
      bus.send(to, { t: 'call', id, method: name, args });
    });
  }

  private receive(payload: unknown, from: Address): void {
    const read = MESSAGE.safeParse(payload);
    if (!read.success) {
      this.dropped('message');
      return;
    }
    const message = read.data;
    const { events } = this.args;
    switch (message.t) {
      case 'call':
        void this.serve(message, from);
        return;
      case 'answer': {
        const call = this.pending.get(message.id);
        // Late, repeated, or of somebody who guesses: only who was asked may answer.
        if (call?.to === from) call.settle(message.result);
        return;
      }
      case 'push':
        events.push(from, message.seq, message.to, message.push);
        return;
      case 'feed':
        for (const [projectId, seq] of message.feed) events.feed(projectId, seq);
        return;
      case 'changed':
        events.changed();
    }
  }

  private async serve(message: { id: number; method: string; args?: unknown }, from: Address): Promise<void> {
    const { bus, incident } = this.args;
    const door = this.args.door();
    try {
      const result = door ? await answerCall(door, message) : this.unavailable();
      // A node of a later release asks for what this one does not know: it must not wait for its deadline.
      if (result === undefined) this.dropped(`call of ${message.method}`);
      bus.send(from, { t: 'answer', id: message.id, result: result ?? this.unavailable() });
    } catch (error) {
      incident({ kind: 'call_failed', error, detail: message.method });
      bus.send(from, { t: 'answer', id: message.id, result: this.unavailable() });
    }
  }

  private dropped(what: string): void {
    this.args.incident({ kind: 'message_dropped', detail: what });
  }

  private unavailable(): Refusal {
    return refuse('unavailable', undefined, { retryAfterMs: this.args.retryAfterMs });
  }
}

type Caller = <Name extends MethodName>(
  method: Name,
  args: ArgsOf<Name>,
) => Promise<ResultOf<Name> | Refusal>;

function remoteDoor(call: Caller): NodeDoor {
  return {
    attach: (args) => call('attach', { ...args, shardIds: [...args.shardIds] }),
    detach: (args) => call('detach', args),
    present: (args) => call('present', { ...args, annotatorIds: [...args.annotatorIds] }),
    state: (annotatorId) => call('state', { annotatorId }),
    request: (args) => call('request', args),
    stopWaiting: (annotatorId) => call('stopWaiting', { annotatorId }),
    accept: (annotatorId, ref) => call('accept', { annotatorId, ref }),
    heartbeat: (annotatorId, refs) => call('heartbeat', { annotatorId, refs: [...refs] }),
    draft: (annotatorId, ref, draft) => call('draft', { annotatorId, ref, draft }),
    submit: (args) => call('submit', args),
    giveBack: (args) => call('giveBack', args),
    pause: (annotatorId) => call('pause', { annotatorId }),
    resume: (annotatorId) => call('resume', { annotatorId }),
    control: (command) => call('control', command),
  };
}

type Handlers = { readonly [Name in MethodName]: (door: NodeDoor, args: ArgsOf<Name>) => Promise<unknown> };

const HANDLERS: Handlers = {
  attach: (door, args) => door.attach(args),
  detach: (door, args) => door.detach(args),
  present: (door, args) => door.present(args),
  state: (door, { annotatorId }) => door.state(annotatorId),
  request: (door, args) => door.request(args),
  stopWaiting: (door, { annotatorId }) => door.stopWaiting(annotatorId),
  accept: (door, { annotatorId, ref }) => door.accept(annotatorId, ref),
  heartbeat: (door, { annotatorId, refs }) => door.heartbeat(annotatorId, refs),
  draft: (door, { annotatorId, ref, draft }) => door.draft(annotatorId, ref, draft),
  submit: (door, args) => door.submit(args),
  giveBack: (door, args) => door.giveBack(args),
  pause: (door, { annotatorId }) => door.pause(annotatorId),
  resume: (door, { annotatorId }) => door.resume(annotatorId),
  control: (door, command) => door.control(command),
};

/** @returns undefined when the call cannot be understood. */
function answerCall(
  door: NodeDoor,
  message: { method: string; args?: unknown },
): Promise<unknown> | undefined {
  return isMethod(message.method) ? handle(door, message.method, message.args) : undefined;
}

function handle<Name extends MethodName>(
  door: NodeDoor,
  name: Name,
  args: unknown,
): Promise<unknown> | undefined {
  const read = METHODS[name].args.safeParse(args);
  return read.success ? HANDLERS[name](door, read.data as ArgsOf<Name>) : undefined;
}
