import type { z } from 'zod';
import { type RemoteApi, RemoteFailure } from '../../app/remote/api.ts';
import { eventPage } from '../../protocol/api/index.ts';

type FeedEvent = z.output<typeof eventPage>['events'][number];

const WAIT_MS = 5_000;
/** Which of the two it is depends on which clock runs out first. */
const LOSSES: ReadonlySet<string> = new Set(['abandoned', 'expired']);

/**
 * Follows a project's event feed through everything that happens to the server, and lets others wait for what happens
 * to one assignment.
 */
export class EventFollower {
  readonly events: FeedEvent[] = [];
  readonly #api: RemoteApi;
  readonly #slug: string;
  readonly #untilBack: () => Promise<void>;
  readonly #wanted = new Map<string, () => void>();
  readonly #lost = new Set<string>();
  #cursor = '0';
  #isStopped = false;
  #running: Promise<void> | undefined;

  /** @param untilBack settles when the server serves, at once if it does */
  constructor(api: RemoteApi, slug: string, untilBack: () => Promise<void>) {
    this.#api = api;
    this.#slug = slug;
    this.#untilBack = untilBack;
  }

  start(): void {
    this.#running = this.#follow();
  }

  /** Settles when the feed says that the lease ended without an answer, or has said so. */
  untilLost(assignmentId: string): Promise<void> {
    if (this.#lost.has(assignmentId)) return Promise.resolve();
    return new Promise((resolve) => this.#wanted.set(assignmentId, resolve));
  }

  /** Reads what is there to the end, and stops. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    while ((await this.#read(0)) > 0);
  }

  async #follow(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#read(WAIT_MS);
      } catch (error) {
        // The server is away for a while; the cursor is where to go on.
        if (!(error instanceof RemoteFailure)) throw error;
        await this.#untilBack();
      }
    }
  }

  async #read(waitMs: number): Promise<number> {
    const query = new URLSearchParams({ after: this.#cursor, limit: '1000', waitMs: String(waitMs) });
    const page = await this.#api.call('GET', `/api/projects/${this.#slug}/events?${query}`, eventPage);
    this.#cursor = page.cursor;
    for (const event of page.events) {
      this.events.push(event);
      if (event.assignmentId === null || !LOSSES.has(event.event)) continue;
      this.#lost.add(event.assignmentId);
      this.#wanted.get(event.assignmentId)?.();
      this.#wanted.delete(event.assignmentId);
    }
    return page.events.length;
  }
}
