import type { AnnotatorId } from '../../engine/ids.ts';
import type { Session } from './session.ts';
import type { UnnumberedPush } from './translate.ts';

/** The connections of this gateway, by annotator. */
export class Registry {
  readonly #byAnnotator = new Map<AnnotatorId, Set<Session>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  countOf(annotatorId: AnnotatorId): number {
    return this.#byAnnotator.get(annotatorId)?.size ?? 0;
  }

  add(session: Session): void {
    let sessions = this.#byAnnotator.get(session.annotatorId);
    if (sessions === undefined) {
      sessions = new Set();
      this.#byAnnotator.set(session.annotatorId, sessions);
    }
    if (sessions.has(session)) return;
    sessions.add(session);
    this.#size += 1;
  }

  remove(session: Session): void {
    const sessions = this.#byAnnotator.get(session.annotatorId);
    if (!sessions?.delete(session)) return;
    this.#size -= 1;
    if (sessions.size === 0) this.#byAnnotator.delete(session.annotatorId);
  }

  /** Hands a push to all connections of the annotator, or to all but one. */
  tell(annotatorId: AnnotatorId, push: UnnumberedPush, except?: Session): void {
    for (const session of this.#byAnnotator.get(annotatorId) ?? []) {
      if (session !== except) session.push(push);
    }
  }

  of(annotatorId: AnnotatorId): Session[] {
    return [...(this.#byAnnotator.get(annotatorId) ?? [])];
  }

  all(): Session[] {
    return [...this.#byAnnotator.values()].flatMap((sessions) => [...sessions]);
  }
}
