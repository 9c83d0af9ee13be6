import { type AnyActor, createActor } from 'xstate';
import {
  type AssignmentEvent,
  type AssignmentSnapshot,
  type AssignmentState,
  assignmentMachine,
} from './assignment.ts';
import { type AssignmentFact, assignmentFacts, type TaskFact, taskFacts } from './facts.ts';
import { whyRefused } from './refusal-reasons.ts';
import { checkAssignment, checkTask } from './snapshot-checks.ts';
import { type TaskContext, type TaskEvent, type TaskSnapshot, type TaskState, taskMachine } from './task.ts';

/** A refusal is a value: the event is not possible in this state, or not with these counts. Nothing changed. */
export type Step<S, F> =
  | { readonly accepted: true; readonly next: S; readonly facts: readonly F[] }
  | { readonly accepted: false; readonly reason: string };

/** @throws InvalidSnapshotError for an overlap or a limit below 1. */
export function initialTask(settings: Pick<TaskContext, 'overlap' | 'maxAttempts'>): TaskSnapshot {
  const { overlap, maxAttempts } = settings;
  const first: TaskSnapshot = {
    state: 'waiting',
    context: { overlap, open: 0, filled: 0, attempts: 0, maxAttempts, condition: null },
  };
  checkTask(first);
  return first;
}

/** Leased at once, or offered first to be accepted by its annotator. */
export function initialAssignment(offered: boolean): AssignmentSnapshot {
  return { state: offered ? 'offered' : 'active' };
}

/**
 * The only way a task changes. Pure: the snapshot given is not touched.
 * @throws InvalidSnapshotError when the snapshot breaks an invariant, or the event would make it (a lease ends
 * where none is open): whoever sent it and the task disagree, so the task needs a person.
 */
export function stepTask(snapshot: TaskSnapshot, event: TaskEvent): Step<TaskSnapshot, TaskFact> {
  checkTask(snapshot);
  // Same configuration, this task's context: what resolveState() would build, without building it.
  const current = { ...taskAt[snapshot.state], context: snapshot.context };
  const moved = taskMachine.transition(current, event, taskScope);
  // XState hands the very same snapshot back when, and only when, no transition was selected.
  if (moved === current)
    return { accepted: false, reason: whyRefused(taskMachine, snapshot.state, event.type) };
  const next = { state: moved.value, context: moved.context };
  checkTask(next);
  return { accepted: true, next, facts: taskFacts(snapshot, next) };
}

/**
 * The only way an assignment changes.
 * @throws InvalidSnapshotError for an unknown state.
 */
export function stepAssignment(
  snapshot: AssignmentSnapshot,
  event: AssignmentEvent,
): Step<AssignmentSnapshot, AssignmentFact> {
  checkAssignment(snapshot);
  const next = nextAssignment[snapshot.state].get(event.type);
  if (next === undefined) {
    return { accepted: false, reason: whyRefused(assignmentMachine, snapshot.state, event.type) };
  }
  return { accepted: true, next, facts: assignmentFacts(event) };
}

const taskScope = inertScope(createActor(taskMachine, { input: { overlap: 1, maxAttempts: 1 } }));

type ResolvedTask = ReturnType<typeof taskMachine.resolveState>;
const taskAt: Readonly<Record<TaskState, ResolvedTask>> = {
  waiting: resolvedTask('waiting'),
  adjudicating: resolvedTask('adjudicating'),
  reviewing: resolvedTask('reviewing'),
  held: resolvedTask('held'),
  complete: resolvedTask('complete'),
  cancelled: resolvedTask('cancelled'),
};

function resolvedTask(value: TaskState): ResolvedTask {
  const context = { overlap: 1, open: 0, filled: 0, attempts: 0, maxAttempts: 1, condition: null };
  return taskMachine.resolveState({ value, context });
}

const assignmentScope = inertScope(createActor(assignmentMachine));

/**
 * The machine without a context decides by state and event type alone, so it is asked once for every pair when this
 * file is loaded, and a step is a look-up in its answers.
 */
type NextAssignment = ReadonlyMap<string, AssignmentSnapshot>;
const nextAssignment: Readonly<Record<AssignmentState, NextAssignment>> = {
  offered: answersOf('offered'),
  active: answersOf('active'),
  submitted: answersOf('submitted'),
  accepted: answersOf('accepted'),
  rejected: answersOf('rejected'),
  expired: answersOf('expired'),
  abandoned: answersOf('abandoned'),
  skipped: answersOf('skipped'),
  released: answersOf('released'),
  revoked: answersOf('revoked'),
  surplus: answersOf('surplus'),
};

function answersOf(state: AssignmentState): NextAssignment {
  const answers = new Map<string, AssignmentSnapshot>();
  const current = assignmentMachine.resolveState({ value: state, context: {} });
  for (const type of assignmentMachine.events) {
    if (type === '*') throw new Error('the assignment machine must name its events');
    const moved = assignmentMachine.transition(current, { type }, assignmentScope);
    if (moved !== current) answers.set(type, Object.freeze({ state: moved.value }));
  }
  return answers;
}

/**
 * What XState's own transition() builds anew for every call: an actor that is never started. Reused, it makes a step
 * several times cheaper. The machines have no effects; if one crept in, its step would throw instead of losing it.
 */
function inertScope<Self extends AnyActor>(self: Self) {
  const refuseEffect = (): never => {
    throw new Error('a machine asked for an effect: machines must be pure');
  };
  return {
    self,
    system: self.system,
    id: '',
    sessionId: '',
    logger: refuseEffect,
    defer: refuseEffect,
    emit: refuseEffect,
    stopChild: refuseEffect,
    actionExecutor: refuseEffect,
  };
}
