import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkDoor } from '../../engine/door.ts';
import type { AnnotatorId, AssignmentRef } from '../../engine/ids.ts';
import type { Result } from '../../engine/refusals.ts';
import { RESULT } from '../population.ts';

/** How soon a refused message is sent again, under the same id, in ms. */
const AGAIN_MS = 10;
/** A message that is refused for longer is no figure but a failure, in ms. */
const PATIENCE_MS = 30_000;

/** What passes by itself. A lease whose grant was lost on its way fills its place until it is found by its request id. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'busy', 'at_capacity']);

/** Somebody at each of several projects who works without a pause: how long a message takes while shards change hands. */
export class Prober {
  readonly #work: WorkDoor;

  constructor(work: WorkDoor) {
    this.#work = work;
  }

  /** @returns for each project, the longest time from a message to the answer that took it, repeats included, in ms. */
  async probe(
    seats: readonly { project: string; annotatorId: AnnotatorId }[],
    ms: number,
  ): Promise<Record<string, number>> {
    const untilMs = performance.now() + ms;
    const longest = seats.map(async ({ project, annotatorId }) => {
      await this.#insist(() => this.#work.connect(annotatorId));
      let longestMs = 0;
      let ref = await this.#request(annotatorId, project);
      while (performance.now() < untilMs) {
        const askedMs = performance.now();
        const submissionId = randomUUID();
        await this.#insist(() =>
          this.#work.submit({ annotatorId, ref, submissionId, result: RESULT, next: false }),
        );
        ref = await this.#request(annotatorId, project);
        longestMs = Math.max(longestMs, performance.now() - askedMs);
        // Somebody, not a crowd: the machine is to be idle but for what is measured.
        await delay(AGAIN_MS);
      }
      await this.#insist(() => this.#work.release(annotatorId, ref));
      return [project, longestMs] as const;
    });
    return Object.fromEntries(await Promise.all(longest));
  }

  async #request(annotatorId: AnnotatorId, project: string): Promise<AssignmentRef> {
    const requestId = randomUUID();
    const answer = await this.#insist(() =>
      this.#work.request({ annotatorId, requestId, projects: [project] }),
    );
    if ('waiting' in answer) throw new Error(`the tasks of ${project} ran out in the middle of a bench`);
    return answer.assignment.ref;
  }

  async #insist<T>(ask: () => Promise<Result<T>>): Promise<T> {
    const untilMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await ask();
      if (answer.ok) return answer.value;
      if (!PASSING.has(answer.code) || performance.now() > untilMs)
        throw new Error(`refused: ${answer.code}`);
      await delay(AGAIN_MS);
    }
  }
}
