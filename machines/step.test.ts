import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { assignmentMachine } from './assignment.ts';
import {
  type AssignmentEvent,
  type AssignmentSnapshot,
  type AssignmentState,
  hasFreeSlot,
  InvalidSnapshotError,
  initialAssignment,
  initialTask,
  MACHINE_VERSION,
  stepAssignment,
  stepTask,
  type TaskEvent,
  type TaskSnapshot,
  upcastAssignment,
  upcastTask,
} from './index.ts';
import { checkTask } from './snapshot-checks.ts';
import { taskMachine } from './task.ts';

const condition = fc.constantFrom('attempts_used_up', 'supervisor', 'quarantined');
const taskEvent: fc.Arbitrary<TaskEvent> = fc.oneof(
  // The everyday events come more often, so that runs get somewhere before they are cancelled or held.
  { weight: 4, arbitrary: fc.constant<TaskEvent>({ type: 'LEASE' }) },
  { weight: 3, arbitrary: fc.constant<TaskEvent>({ type: 'FILL' }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('FREE'), countsAttempt: fc.boolean() }) },
  fc.constant<TaskEvent>({ type: 'FILL_FREE' }),
  fc.constant<TaskEvent>({ type: 'DISCOUNT' }),
  fc.record({ type: fc.constant('HOLD'), condition }),
  { weight: 2, arbitrary: fc.constant<TaskEvent>({ type: 'REQUEUE' }) },
  fc.constant<TaskEvent>({ type: 'CANCEL' }),
  fc.record({ type: fc.constant('SET_OVERLAP'), overlap: fc.integer({ min: -1, max: 6 }) }),
  fc.record({ type: fc.constant('SET_MAX_ATTEMPTS'), maxAttempts: fc.integer({ min: -1, max: 6 }) }),
  fc.constant<TaskEvent>({ type: 'ADJUDICATE' }),
  fc.constant<TaskEvent>({ type: 'SETTLE' }),
  fc.constant<TaskEvent>({ type: 'REVIEW' }),
  fc.record({ type: fc.constant('REVIEWED'), accepted: fc.boolean() }),
);

/** Any snapshot the checks let in, reached or not: the small numbers meet every guard's edge. */
const taskSnapshot: fc.Arbitrary<TaskSnapshot> = fc
  .record({
    state: fc.constantFrom('waiting', 'adjudicating', 'reviewing', 'held', 'complete', 'cancelled'),
    context: fc.record({
      overlap: fc.integer({ min: 1, max: 4 }),
      open: fc.integer({ min: 0, max: 4 }),
      filled: fc.integer({ min: 0, max: 4 }),
      attempts: fc.integer({ min: 0, max: 4 }),
      maxAttempts: fc.integer({ min: 1, max: 4 }),
      condition: fc.option(condition),
    }),
  })
  .map((snapshot) =>
    snapshot.state === 'held' ? snapshot : { ...snapshot, context: { ...snapshot.context, condition: null } },
  )
  .filter(isValid);

function isValid(snapshot: TaskSnapshot): boolean {
  try {
    checkTask(snapshot);
    return true;
  } catch (error) {
    if (error instanceof InvalidSnapshotError) return false;
    throw error;
  }
}

/** The step, or null where the event contradicts the counts (an answer with no lease open). */
function stepOrInvalid(snapshot: TaskSnapshot, event: TaskEvent): ReturnType<typeof stepTask> | null {
  try {
    return stepTask(snapshot, event);
  } catch (error) {
    if (error instanceof InvalidSnapshotError) return null;
    throw error;
  }
}

function deepFreeze(snapshot: TaskSnapshot): TaskSnapshot {
  Object.freeze(snapshot.context);
  return Object.freeze(snapshot);
}

const RUNS = { numRuns: 2_000 };

describe('the fast step of a task equals XState', () => {
  test('official transition() gives the same state and context, and can() the same refusals', () => {
    fc.assert(
      fc.property(taskSnapshot, taskEvent, (snapshot, event) => {
        const official = taskMachine.resolveState({ value: snapshot.state, context: snapshot.context });
        const [next, actions] = transition(taskMachine, official, event);
        const reached = { state: next.value, context: next.context };
        const step = stepOrInvalid(snapshot, event);
        expect(actions, 'machines have no effects').toEqual([]);
        if (step === null) {
          expect(() => checkTask(reached)).toThrow(InvalidSnapshotError);
        } else if (step.accepted) {
          expect(official.can(event)).toBe(true);
          expect(step.next).toEqual(reached);
        } else {
          expect(official.can(event)).toBe(false);
          expect(reached).toEqual(snapshot);
        }
      }),
      { numRuns: 10_000 },
    );
  });

  test("the initial snapshot is the machine's own", () => {
    const settings = { overlap: 3, maxAttempts: 5 };
    const [official] = initialTransition(taskMachine, settings);
    expect(initialTask(settings)).toEqual({ state: official.value, context: official.context });
  });
});

describe('every history of a task', () => {
  const history = fc.array(taskEvent, { minLength: 1, maxLength: 60 });
  const start = fc.record({
    overlap: fc.integer({ min: 1, max: 4 }),
    maxAttempts: fc.integer({ min: 1, max: 4 }),
  });

  /** Feeds the events that a task can take, calls `see` after each, and returns the last snapshot. */
  function live(
    settings: { overlap: number; maxAttempts: number },
    events: readonly TaskEvent[],
    see: (before: TaskSnapshot, event: TaskEvent, step: ReturnType<typeof stepTask>) => void,
  ): TaskSnapshot {
    let current = initialTask(settings);
    for (const event of events) {
      const step = stepOrInvalid(current, event);
      if (step === null) continue;
      see(current, event, step);
      if (step.accepted) current = step.next;
    }
    return current;
  }

  test('keeps counts possible and never exceeds the overlap', () => {
    fc.assert(
      fc.property(start, history, (settings, events) => {
        live(settings, events, (_, event, step) => {
          if (!step.accepted) return;
          const { open, filled, attempts, overlap } = step.next.context;
          expect(Math.min(open, filled, attempts), event.type).toBeGreaterThanOrEqual(0);
          expect(open + filled, event.type).toBeLessThanOrEqual(overlap);
          expect(step.next.context.condition === null, event.type).toBe(step.next.state !== 'held');
        });
      }),
      RUNS,
    );
  });

  test('completes by answers exactly when the overlap is met, and then has nothing open', () => {
    fc.assert(
      fc.property(start, history, (settings, events) => {
        live(settings, events, (before, event, step) => {
          if (!step.accepted) return;
          const { open, filled, overlap, condition: held } = step.next.context;
          if (event.type === 'FILL' || event.type === 'FILL_FREE') {
            expect(step.next.state === 'complete').toBe(filled === overlap && held !== 'quarantined');
          }
          if (step.next.state === 'complete') {
            expect(open).toBe(0);
            if (filled < overlap)
              expect(['SETTLE', 'REVIEWED', 'SET_OVERLAP', 'SET_MAX_ATTEMPTS']).toContain(event.type);
          }
          if (before.context.condition === 'quarantined' && held !== 'quarantined') {
            expect(['REQUEUE', 'CANCEL']).toContain(event.type);
          }
        });
      }),
      RUNS,
    );
  });

  test('can always be brought to an end: nothing is stranded', () => {
    fc.assert(
      fc.property(start, history, (settings, events) => {
        let task = live(settings, events, () => undefined);
        const follow = (event: TaskEvent) => {
          const step = stepTask(task, event);
          if (!step.accepted) throw new Error(step.reason);
          task = step.next;
        };
        if (task.state === 'adjudicating') follow({ type: 'SETTLE' });
        if (task.state === 'reviewing') follow({ type: 'REVIEWED', accepted: true });
        if (task.state === 'held' || task.state === 'cancelled') follow({ type: 'REQUEUE' });
        while (task.context.open > 0) follow({ type: 'FILL' });
        while (hasFreeSlot(task)) {
          follow({ type: 'LEASE' });
          follow({ type: 'FILL' });
        }
        expect(task.state).toBe('complete');
      }),
      RUNS,
    );
  });

  test('is the same when its snapshots go through JSON and the events through frozen objects', () => {
    fc.assert(
      fc.property(start, history, (settings, events) => {
        let stored: unknown = JSON.parse(JSON.stringify(initialTask(settings)));
        const last = live(settings, events, (before, event, step) => {
          const loaded = deepFreeze(upcastTask(MACHINE_VERSION, stored));
          expect(loaded).toEqual(before);
          expect(stepTask(loaded, Object.freeze({ ...event }))).toEqual(step);
          if (step.accepted) stored = JSON.parse(JSON.stringify(step.next));
        });
        expect(stored).toEqual(last);
      }),
      { numRuns: 500 },
    );
  });

  test('tells readiness by facts alone: folding them gives hasFreeSlot', () => {
    fc.assert(
      fc.property(start, history, (settings, events) => {
        let isReady = true;
        live(settings, events, (_, event, step) => {
          if (!step.accepted) return;
          for (const fact of step.facts) isReady = fact.type === 'TaskReady';
          expect(isReady, event.type).toBe(hasFreeSlot(step.next));
        });
      }),
      RUNS,
    );
  });
});

describe("repeats and reorders of a task's events", () => {
  const leased = (overlap: number): TaskSnapshot => {
    const step = stepTask(initialTask({ overlap, maxAttempts: 2 }), { type: 'LEASE' });
    if (!step.accepted) throw new Error(step.reason);
    return step.next;
  };

  test('the same input gives the same step, and the input is not touched', () => {
    fc.assert(
      fc.property(taskSnapshot, taskEvent, (snapshot, event) => {
        const before = structuredClone(snapshot);
        const first = stepOrInvalid(deepFreeze(snapshot), Object.freeze(event));
        expect(stepOrInvalid(snapshot, event)).toEqual(first);
        expect(snapshot).toEqual(before);
      }),
      RUNS,
    );
  });

  test('a second lease of the only slot is refused', () => {
    expect(stepTask(leased(1), { type: 'LEASE' })).toEqual({
      accepted: false,
      reason: 'LEASE is refused in waiting: it needs: slot is free',
    });
  });

  test('an answer that comes twice is refused once the task is complete', () => {
    const filled = stepTask(leased(1), { type: 'FILL' });
    if (!filled.accepted) throw new Error(filled.reason);
    expect(filled).toEqual({
      accepted: true,
      next: {
        state: 'complete',
        context: { overlap: 1, open: 0, filled: 1, attempts: 0, maxAttempts: 2, condition: null },
      },
      facts: [{ type: 'TaskCompleted' }],
    });
    expect(stepTask(filled.next, { type: 'FILL' })).toEqual({
      accepted: false,
      reason: 'FILL is not possible: the task is complete',
    });
  });

  test('an end of a lease that is not open is a contradiction, not a count below zero', () => {
    const waiting = initialTask({ overlap: 2, maxAttempts: 2 });
    expect(() => stepTask(waiting, { type: 'FREE', countsAttempt: true })).toThrow(InvalidSnapshotError);
    expect(() => stepTask(waiting, { type: 'FILL' })).toThrow(InvalidSnapshotError);
    expect(() => stepTask(waiting, { type: 'DISCOUNT' })).toThrow(InvalidSnapshotError);
  });

  test('a task with impossible settings is never made', () => {
    expect(() => initialTask({ overlap: 0, maxAttempts: 1 })).toThrow(InvalidSnapshotError);
    expect(() => initialTask({ overlap: 1, maxAttempts: 0 })).toThrow(InvalidSnapshotError);
  });
});

describe('assignments', () => {
  const type = fc.constantFrom<AssignmentEvent['type']>(
    'ACCEPT',
    'SUBMIT',
    'EXPIRE',
    'ABANDON',
    'SKIP',
    'RELEASE',
    'REVOKE',
    'SUBMIT_LATE',
    'KEEP_SURPLUS',
    'REVIEW_ACCEPT',
    'REVIEW_REJECT',
  );
  const isOpen = (state: AssignmentState) => state === 'offered' || state === 'active';

  test('every history steps as the official transition() does, once open never open again, through JSON', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(type, { maxLength: 12 }), (offered, types) => {
        let current: AssignmentSnapshot = initialAssignment(offered);
        let answers = 0;
        for (const event of types.map((name) => ({ type: name }))) {
          const official = assignmentMachine.resolveState({ value: current.state, context: {} });
          const [moved] = transition(assignmentMachine, official, event);
          const step = stepAssignment(Object.freeze(current), event);
          expect(step.accepted).toBe(official.can(event));
          expect(step.accepted ? step.next.state : current.state).toBe(moved.value);
          if (!step.accepted) continue;
          expect(step.facts).toHaveLength(1);
          if (!isOpen(current.state)) expect(isOpen(step.next.state)).toBe(false);
          if (event.type === 'SUBMIT' || event.type === 'SUBMIT_LATE' || event.type === 'KEEP_SURPLUS')
            answers += 1;
          current = upcastAssignment(MACHINE_VERSION, JSON.parse(JSON.stringify(step.next)));
        }
        expect(answers, 'an assignment yields at most one answer').toBeLessThanOrEqual(1);
      }),
      RUNS,
    );
  });

  test('a repeat is refused with the state it is in', () => {
    expect(stepAssignment({ state: 'expired' }, { type: 'EXPIRE' })).toEqual({
      accepted: false,
      reason: 'EXPIRE is not possible: the assignment is expired',
    });
  });

  test('a state from elsewhere throws', () => {
    const stored: AssignmentSnapshot = JSON.parse('{"state":"dreaming"}');
    expect(() => stepAssignment(stored, { type: 'SUBMIT' })).toThrow(InvalidSnapshotError);
  });
});

describe('the charts', () => {
  test('use no timers, invocations or effects: a restored snapshot would not restart them', () => {
    for (const machine of [taskMachine, assignmentMachine]) {
      for (const node of [machine.root, ...Object.values(machine.root.states)]) {
        expect([node.after, node.invoke, node.entry, node.exit, node.always ?? []].flat(), node.id).toEqual(
          [],
        );
      }
    }
  });
});
