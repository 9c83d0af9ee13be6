import { describe, expect, test } from 'vitest';
import {
  FutureSnapshotError,
  InvalidSnapshotError,
  initialAssignment,
  initialTask,
  MACHINE_VERSION,
  upcastAssignment,
  upcastTask,
} from './index.ts';

const task = initialTask({ overlap: 2, maxAttempts: 3 });
const withContext = (patch: object) => ({ ...task, context: { ...task.context, ...patch } });

describe('upcasting', () => {
  test('a snapshot of this version comes back as it is', () => {
    expect(upcastTask(MACHINE_VERSION, task)).toEqual(task);
    expect(upcastAssignment(MACHINE_VERSION, initialAssignment(true))).toEqual({ state: 'offered' });
  });

  test('a snapshot of a later version is refused, whatever it holds', () => {
    expect(() => upcastTask(MACHINE_VERSION + 1, { anything: true })).toThrow(FutureSnapshotError);
    expect(() => upcastAssignment(MACHINE_VERSION + 1, initialAssignment(true))).toThrow(FutureSnapshotError);
  });

  test.each([0, -1, 1.5, Number.NaN])('version %s never existed', (version) => {
    expect(() => upcastTask(version, task)).toThrow(InvalidSnapshotError);
    expect(() => upcastAssignment(version, initialAssignment(false))).toThrow(InvalidSnapshotError);
  });

  test.each([
    ['no snapshot', null],
    ['no context', { state: 'waiting' }],
    ['an unknown state', { ...task, state: 'sleeping' }],
    ['a state named like a method of objects', { ...task, state: 'toString' }],
    ['an overlap of 0', withContext({ overlap: 0 })],
    ['a negative count', withContext({ open: -1 })],
    ['a count that is no integer', withContext({ filled: 0.5 })],
    ['a count that is text', withContext({ attempts: '1' })],
    ['a missing count', withContext({ maxAttempts: undefined })],
    ['more than the overlap', withContext({ open: 2, filled: 1 })],
    ['waiting though its overlap is met', withContext({ filled: 2 })],
    ['a hold condition without a hold', withContext({ condition: 'supervisor' })],
    ['a hold without a condition', { ...task, state: 'held' }],
    ['a hold with an unknown condition', { ...withContext({ condition: 'moonlight' }), state: 'held' }],
    ['complete with an open lease', { ...withContext({ open: 1, filled: 1 }), state: 'complete' }],
    ['complete without an answer', { ...task, state: 'complete' }],
  ])('a task with %s is invalid', (_, broken) => {
    expect(() => upcastTask(MACHINE_VERSION, broken)).toThrow(InvalidSnapshotError);
  });

  test.each([null, 'active', {}, { state: 'sleeping' }])('%j is no assignment', (broken) => {
    expect(() => upcastAssignment(MACHINE_VERSION, broken)).toThrow(InvalidSnapshotError);
  });
});
