import type { Clock } from './clock.ts';
import type { AnnotatorId, TaskId } from './ids.ts';
import type { Json } from './settings.ts';
import type { DraftKey, Store } from './store/store.ts';

/** Drafts per query. */
const BATCH_MAX = 500;

interface Question extends DraftKey {
  readonly resolve: (draft: Json | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Drafts for the states of those who connect. After a takeover every lease may have one, and thousands may ask at the same
 * moment: those who do in one turn of the event loop, or while a query is under way, share the next.
 */
export class Drafts {
  private questions: Question[] = [];
  private isBusy = false;
  private readonly store: Pick<Store, 'readDrafts'>;
  private readonly clock: Clock;

  constructor(store: Pick<Store, 'readDrafts'>, clock: Clock) {
    this.store = store;
    this.clock = clock;
  }

  /** @throws (rejects) when the database is away. */
  get(taskId: TaskId, annotatorId: AnnotatorId): Promise<Json | undefined> {
    return new Promise((resolve, reject) => {
      this.questions.push({ taskId, annotatorId, resolve, reject });
      this.askSoon();
    });
  }

  private askSoon(): void {
    if (this.isBusy || this.questions.length === 0) return;
    this.isBusy = true;
    this.clock.defer(() => void this.ask());
  }

  private async ask(): Promise<void> {
    const asked = this.questions.splice(0, BATCH_MAX);
    try {
      const drafts = await this.store.readDrafts(
        asked.map(({ taskId, annotatorId }) => ({ taskId, annotatorId })),
      );
      for (const [i, { resolve }] of asked.entries()) resolve(drafts[i]);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
    this.isBusy = false;
    this.askSoon();
  }
}
