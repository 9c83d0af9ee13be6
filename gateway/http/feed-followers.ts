import type { Engine } from '../../engine/door.ts';
import type { ProjectId } from '../../engine/ids.ts';

export type Wake = 'moved' | 'timeout' | 'ended';

/** One reader who has read to the end and waits for more. Begin it before the last read, or news may be missed. */
export interface Follower {
  /** Resolves as soon as the feed has moved since the last call, the time is over, or the follower is to stop. */
  next(waitMs: number): Promise<Wake>;
  close(): void;
}

interface Seat {
  moved: boolean;
  wake: ((reason: Wake) => void) | undefined;
}

/** Everybody who waits for news of a project's feed. One listener at the engine; nobody polls. */
export class FeedFollowers {
  private readonly seats = new Map<ProjectId, Set<Seat>>();
  private readonly unlisten: () => void;
  private readonly max: number;
  private size = 0;
  private isStopped = false;

  constructor(engine: Pick<Engine, 'onFeed'>, max: number) {
    this.max = max;
    this.unlisten = engine.onFeed((projectId) => {
      for (const seat of this.seats.get(projectId) ?? []) {
        seat.moved = true;
        seat.wake?.('moved');
      }
    });
  }

  /** @returns undefined when too many are waiting. @param signal ends the wait, as when the reader has gone. */
  follow(projectId: ProjectId, signal: AbortSignal): Follower | undefined {
    if (this.size >= this.max) return undefined;
    const seat: Seat = { moved: false, wake: undefined };
    const seats = this.seats.get(projectId) ?? new Set<Seat>();
    this.seats.set(projectId, seats.add(seat));
    this.size++;
    const end = (): void => seat.wake?.('ended');
    signal.addEventListener('abort', end);
    return {
      next: (waitMs) => this.wait(seat, waitMs, signal),
      close: () => {
        signal.removeEventListener('abort', end);
        if (!seats.delete(seat)) return;
        this.size--;
        if (seats.size === 0) this.seats.delete(projectId);
      },
    };
  }

  /** Wakes everybody for good: the server is closing. */
  stop(): void {
    this.isStopped = true;
    this.unlisten();
    for (const seats of this.seats.values()) for (const seat of seats) seat.wake?.('ended');
  }

  private wait(seat: Seat, waitMs: number, signal: AbortSignal): Promise<Wake> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => seat.wake?.('timeout'), waitMs);
      seat.wake = (reason) => {
        clearTimeout(timer);
        seat.wake = undefined;
        if (reason === 'moved') seat.moved = false;
        resolve(reason);
      };
      if (this.isStopped || signal.aborted) seat.wake('ended');
      else if (seat.moved) seat.wake('moved');
    });
  }
}
