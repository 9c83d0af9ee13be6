import type { Assignment, JsonValue } from '../../client/index.ts';
import type { Random } from './random.ts';
import type { Judgment } from './replay.ts';
import { inventResult, shapeResult } from './results.ts';

export interface Answer {
  readonly result: JsonValue;
  /** Human milliseconds, where a person's time was recorded. */
  readonly thinkMs: number | undefined;
}

/** What one person has to say. */
export interface Answers {
  /** Undefined: nothing, so the task is skipped. */
  answerTo(assignment: Pick<Assignment, 'taskId'>): Answer | undefined;
  /** The server has this answer. */
  given(taskId: string): void;
  /** Whether, with the answer in hand, everything is said. */
  isLast(): boolean;
}

/** Plausible answers without end. */
export function inventedAnswers(schema: unknown, random: Random): Answers {
  return {
    answerTo: () => ({ result: inventResult(schema, random), thinkMs: undefined }),
    given: () => undefined,
    isLast: () => false,
  };
}

/**
 * What a worker of a recording once answered.
 *
 * @param args.judgments by the server's id of the task
 * @param args.otherwise what to do with a task that the worker never judged; undefined: skip it, and go when all that
 *   was judged is handed in
 */
export function recordedAnswers(args: {
  judgments: ReadonlyMap<string, Judgment>;
  schema: unknown;
  otherwise: Answers | undefined;
}): Answers {
  const { judgments, schema, otherwise } = args;
  const given = new Set<string>();
  return {
    answerTo(assignment) {
      const judgment = judgments.get(assignment.taskId);
      if (judgment === undefined) return otherwise?.answerTo(assignment);
      return { result: shapeResult(judgment.value, schema), thinkMs: judgment.thinkMs };
    },
    given(taskId) {
      if (judgments.has(taskId)) given.add(taskId);
    },
    isLast: () => otherwise === undefined && given.size >= judgments.size - 1,
  };
}
