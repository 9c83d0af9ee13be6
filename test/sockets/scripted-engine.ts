import type {
  AnnotatorPush,
  AssignmentView,
  Engine,
  EngineStatus,
  FeedListener,
  PushSink,
  SessionState,
  WaitingReasons,
  WorkDoor,
} from '../../engine/door.ts';
import {
  type AnnotatorId,
  type AssignmentId,
  type AssignmentRef,
  asId,
  type ProjectId,
  type ShardId,
  type TaskId,
} from '../../engine/ids.ts';
import { ok, refuse } from '../../engine/refusals.ts';
import type { Json } from '../../engine/settings.ts';

export interface WorkCall {
  readonly method: keyof WorkDoor;
  readonly args: readonly unknown[];
}

export const NO_WORK: WaitingReasons = {
  leased: 12,
  alreadyDone: 40,
  skill: 3,
  held: 0,
  pausedProjects: 0,
  unavailableProjects: 0,
  nextExpiryMs: 130_000,
};

export function refOf(number: number): AssignmentRef {
  return { projectId: asId<ProjectId>(7), id: asId<AssignmentId>(number) };
}

export function viewOf(
  number: number,
  annotatorId: AnnotatorId,
  more: Partial<AssignmentView> = {},
): AssignmentView {
  return {
    ref: refOf(number),
    annotatorId,
    project: 'sample',
    taskId: asId<TaskId>(1_000 + number),
    data: { text: `task ${number}` },
    state: 'active',
    expiresInMs: 45_000,
    maxDurationMs: 1_800_000,
    attempt: 1,
    capacitySlot: 0,
    shardId: asId<ShardId>(1),
    ...more,
  };
}

const notScripted = (): never => {
  throw new Error('not scripted');
};

/**
 * An engine of a few lines for the tests of the gateway: one annotator at a time holds one lease after the other, and a
 * test replaces whichever method it is about. It promises nothing about assignment: that is the engine's own test.
 */
export class ScriptedEngine implements Engine {
  readonly calls: WorkCall[] = [];
  /** Open leases by annotator. */
  readonly held = new Map<AnnotatorId, AssignmentView[]>();
  /** Connections that the engine counts. */
  readonly connections = new Map<AnnotatorId, number>();
  readonly #sinks = new Set<PushSink>();
  #nextNumber = 1;
  readonly work: WorkDoor;
  readonly control: Engine['control'] = {
    cancelTask: notScripted,
    requeueTask: notScripted,
    setPriority: notScripted,
    setOverlap: notScripted,
    revoke: notScripted,
    projectCreated: notScripted,
    projectChanged: notScripted,
    annotatorChanged: notScripted,
    tasksImported: notScripted,
    live: notScripted,
  };

  constructor(script: Partial<WorkDoor> = {}) {
    this.work = this.#recorded({ ...this.#plainWork(), ...script });
  }

  onPush(sink: PushSink): () => void {
    this.#sinks.add(sink);
    return () => this.#sinks.delete(sink);
  }

  onFeed(_listener: FeedListener): () => void {
    return () => undefined;
  }

  push(annotatorId: AnnotatorId, push: AnnotatorPush): void {
    for (const sink of this.#sinks) sink(annotatorId, push);
  }

  /** Replaces one method from now on. */
  script(script: Partial<WorkDoor>): void {
    Object.assign(this.work, this.#recorded({ ...this.#plainWork(), ...script }));
  }

  callsOf(method: keyof WorkDoor): WorkCall[] {
    return this.calls.filter((call) => call.method === method);
  }

  /** Leases the next task to the annotator. */
  lease(annotatorId: AnnotatorId, more: Partial<AssignmentView> = {}): AssignmentView {
    const view = viewOf(this.#nextNumber++, annotatorId, more);
    this.held.set(annotatorId, [...(this.held.get(annotatorId) ?? []), view]);
    return view;
  }

  /** Ends a lease. @returns whether it was open. */
  drop(annotatorId: AnnotatorId, ref: AssignmentRef): boolean {
    const open = this.held.get(annotatorId) ?? [];
    const rest = open.filter((view) => view.ref.id !== ref.id);
    this.held.set(annotatorId, rest);
    return rest.length < open.length;
  }

  saveDraft(annotatorId: AnnotatorId, ref: AssignmentRef, draft: Json): boolean {
    const open = this.held.get(annotatorId) ?? [];
    this.held.set(
      annotatorId,
      open.map((view) => (view.ref.id === ref.id ? { ...view, draft } : view)),
    );
    return open.some((view) => view.ref.id === ref.id);
  }

  status(): EngineStatus {
    return {
      ready: true,
      shards: 1,
      leases: 0,
      waiting: 0,
      commits: 0,
      nodes: 1,
      bus: 'none',
      eventLoopLagMs: 0,
    };
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  #stateOf(annotatorId: AnnotatorId): SessionState {
    return { assignments: this.held.get(annotatorId) ?? [], paused: false };
  }

  #plainWork(): WorkDoor {
    const count = (annotatorId: AnnotatorId, by: number) =>
      this.connections.set(annotatorId, (this.connections.get(annotatorId) ?? 0) + by);
    return {
      connect: async (annotatorId) => {
        count(annotatorId, 1);
        return ok(this.#stateOf(annotatorId));
      },
      disconnect: (annotatorId) => {
        count(annotatorId, -1);
      },
      state: async (annotatorId) => ok(this.#stateOf(annotatorId)),
      request: async ({ annotatorId }) => ok({ assignment: this.lease(annotatorId) }),
      accept: async () => ok({ expiresInMs: 45_000 }),
      heartbeat: async (annotatorId, refs) => {
        const open = (this.held.get(annotatorId) ?? []).map((view) => view.ref.id);
        return ok({
          alive: refs.filter((ref) => open.includes(ref.id)).map((ref) => ({ ref, expiresInMs: 45_000 })),
          ended: refs.filter((ref) => !open.includes(ref.id)),
        });
      },
      draft: async (annotatorId, ref, draft) =>
        this.saveDraft(annotatorId, ref, draft) ? ok({ saved: true }) : refuse('unknown_assignment'),
      submit: async ({ annotatorId, ref, submissionId, next }) => {
        if (!this.drop(annotatorId, ref)) return refuse('unknown_assignment');
        const receipt = { assignment: ref, submissionId, status: 'counted', late: false } as const;
        return ok({ receipt, ...(next ? { next: { assignment: this.lease(annotatorId) } } : {}) });
      },
      skip: async (annotatorId, ref) =>
        this.drop(annotatorId, ref) ? ok({ ended: true }) : refuse('unknown_assignment'),
      release: async (annotatorId, ref) =>
        this.drop(annotatorId, ref) ? ok({ ended: true }) : refuse('unknown_assignment'),
      pause: async () => ok({ paused: true }),
      resume: async (annotatorId) => ok(this.#stateOf(annotatorId)),
    };
  }

  /** Every method notes its call first. */
  #recorded(work: WorkDoor): WorkDoor {
    const note = <Args extends unknown[], Answer>(method: keyof WorkDoor, act: (...args: Args) => Answer) => {
      return (...args: Args): Answer => {
        this.calls.push({ method, args });
        return act(...args);
      };
    };
    return {
      connect: note('connect', work.connect),
      disconnect: note('disconnect', work.disconnect),
      state: note('state', work.state),
      request: note('request', work.request),
      accept: note('accept', work.accept),
      heartbeat: note('heartbeat', work.heartbeat),
      draft: note('draft', work.draft),
      submit: note('submit', work.submit),
      skip: note('skip', work.skip),
      release: note('release', work.release),
      pause: note('pause', work.pause),
      resume: note('resume', work.resume),
    };
  }
}
