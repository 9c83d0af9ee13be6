import { randomUUID } from 'node:crypto';
import type { RequestAnswer, WorkDoor } from '../engine/door.ts';
import type { AnnotatorId, AssignmentRef } from '../engine/ids.ts';
import type { Result } from '../engine/refusals.ts';
import { RESULT } from './population.ts';

/** What a crowd did in one measured window. */
export interface Window {
  readonly cycles: number;
  readonly elapsedMs: number;
  /** From each submit to its answer with the next task, in ms. */
  readonly cycleMs: readonly number[];
}

interface Seat {
  readonly annotatorId: AnnotatorId;
  ref: AssignmentRef;
}

/**
 * Annotators in this process who submit at once whatever they are given and ask for the next task in the same call
 * (a closed loop). Between windows they keep their leases.
 */
export class Crowd {
  readonly #work: WorkDoor;
  readonly #projects: readonly string[];
  readonly #seats: readonly Seat[];

  private constructor(work: WorkDoor, projects: readonly string[], seats: readonly Seat[]) {
    this.#work = work;
    this.#projects = projects;
    this.#seats = seats;
  }

  /** Connects everybody and leases each a first task. An annotator named twice holds two leases. */
  static async gather(args: {
    work: WorkDoor;
    project: string;
    annotatorIds: readonly AnnotatorId[];
  }): Promise<Crowd> {
    const { work } = args;
    const projects = [args.project];
    const seats = args.annotatorIds.map(async (annotatorId): Promise<Seat> => {
      granted(await work.connect(annotatorId));
      const answer = await work.request({ annotatorId, requestId: randomUUID(), projects });
      return { annotatorId, ref: refOf(granted(answer)) };
    });
    return new Crowd(work, projects, await Promise.all(seats));
  }

  /** Works until `durationMs` have passed. Cycles answered after that are finished and not counted. */
  async workFor(durationMs: number): Promise<Window> {
    const startedMs = performance.now();
    const endMs = startedMs + durationMs;
    const cycleMs: number[] = [];
    await Promise.all(
      this.#seats.map(async (seat) => {
        while (performance.now() < endMs) {
          const askedMs = performance.now();
          await this.#cycle(seat);
          const answeredMs = performance.now();
          if (answeredMs <= endMs) cycleMs.push(answeredMs - askedMs);
        }
      }),
    );
    return { cycles: cycleMs.length, elapsedMs: durationMs, cycleMs };
  }

  /** Works until `count` cycles are done between them. */
  async workThrough(count: number): Promise<Window> {
    const startedMs = performance.now();
    const cycleMs: number[] = [];
    let left = count;
    await Promise.all(
      this.#seats.map(async (seat) => {
        while (left > 0) {
          left -= 1;
          const askedMs = performance.now();
          await this.#cycle(seat);
          cycleMs.push(performance.now() - askedMs);
        }
      }),
    );
    return { cycles: count, elapsedMs: performance.now() - startedMs, cycleMs };
  }

  /** One after the other, with nothing else going on: how long each grant alone takes, in ms. */
  async grantsAlone(count: number): Promise<number[]> {
    const seat = this.#seats[0];
    if (seat === undefined) throw new RangeError('an empty crowd');
    const grantMs: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const { annotatorId, ref } = seat;
      granted(
        await this.#work.submit({
          annotatorId,
          ref,
          submissionId: randomUUID(),
          result: RESULT,
          next: false,
        }),
      );
      const askedMs = performance.now();
      const answer = await this.#work.request({
        annotatorId,
        requestId: randomUUID(),
        projects: this.#projects,
      });
      grantMs.push(performance.now() - askedMs);
      seat.ref = refOf(granted(answer));
    }
    return grantMs;
  }

  async #cycle(seat: Seat): Promise<void> {
    const answer = await this.#work.submit({
      annotatorId: seat.annotatorId,
      ref: seat.ref,
      submissionId: randomUUID(),
      result: RESULT,
      next: true,
      projects: this.#projects,
    });
    const { next } = granted(answer);
    if (next === undefined) throw new Error('a submit was answered without the next task');
    seat.ref = refOf(next);
  }
}

function granted<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${result.code} ${result.message}`);
  return result.value;
}

function refOf(answer: RequestAnswer): AssignmentRef {
  if ('waiting' in answer) throw new Error('the tasks ran out in the middle of a bench');
  return answer.assignment.ref;
}
