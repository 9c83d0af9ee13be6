import type { Clock } from '../clock.ts';
import type { AnnotatorId } from '../ids.ts';
import type { HeldLease, Store } from '../store/store.ts';

/** Annotators per query: when a gateway dies, thousands come to another one within a second. */
const BATCH_MAX = 1_000;

interface Question {
  readonly annotatorId: AnnotatorId;
  readonly resolve: (held: HeldLease[]) => void;
  readonly reject: (error: unknown) => void;
}

/** What annotators hold, by the database. Everybody who is asked for in one turn of the event loop shares a query. */
export class HeldLeases {
  private questions: Question[] = [];
  private reading = false;
  private readonly store: Pick<Store, 'openLeasesOf'>;
  private readonly clock: Clock;

  constructor(args: { store: Pick<Store, 'openLeasesOf'>; clock: Clock }) {
    this.store = args.store;
    this.clock = args.clock;
  }

  /** @throws when the database is away. */
  read(annotatorId: AnnotatorId): Promise<HeldLease[]> {
    return new Promise((resolve, reject) => {
      this.questions.push({ annotatorId, resolve, reject });
      if (this.questions.length === 1 && !this.reading) this.clock.defer(() => void this.ask());
    });
  }

  /** One query at a time: those that come meanwhile go together in the next. */
  private async ask(): Promise<void> {
    this.reading = true;
    const asked = this.questions.splice(0, BATCH_MAX);
    try {
      const held = new Map<AnnotatorId, HeldLease[]>();
      for (const { annotatorId } of asked) held.set(annotatorId, []);
      for (const lease of await this.store.openLeasesOf([...held.keys()])) {
        held.get(lease.annotatorId)?.push(lease);
      }
      for (const { annotatorId, resolve } of asked) resolve(held.get(annotatorId) ?? []);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
    this.reading = false;
    if (this.questions.length > 0) this.clock.defer(() => void this.ask());
  }
}
