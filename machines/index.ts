export type {
  AssignmentContext,
  AssignmentEvent,
  AssignmentSnapshot,
  AssignmentState,
} from './assignment.ts';
export type { AssignmentFact, TaskFact } from './facts.ts';
export { FutureSnapshotError, InvalidSnapshotError } from './snapshot-errors.ts';
export { initialAssignment, initialTask, type Step, stepAssignment, stepTask } from './step.ts';
export {
  type HoldCondition,
  hasFreeSlot,
  type TaskContext,
  type TaskEvent,
  type TaskSnapshot,
  type TaskState,
} from './task.ts';
export { MACHINE_VERSION, upcastAssignment, upcastTask } from './upcast.ts';
