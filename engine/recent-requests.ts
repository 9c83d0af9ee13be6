import type { BatchResult } from './commit/write-set.ts';
import type { AnnotatorId, AssignmentId } from './ids.ts';

interface Granted {
  readonly id: AssignmentId;
  readonly saved: Promise<BatchResult>;
}

/**
 * Which lease a request led to, for as long as memory of it lasts: a repeated request id gets the first answer.
 * Open leases carry their request id on disk too, so this only matters for leases that have ended since.
 */
export class RecentRequests {
  private readonly granted = new Map<string, Granted>();
  private readonly entriesMax: number;

  constructor(entriesMax: number) {
    this.entriesMax = entriesMax;
  }

  remember(annotatorId: AnnotatorId, requestId: string, granted: Granted): void {
    const key = `${annotatorId}:${requestId}`;
    this.granted.delete(key);
    this.granted.set(key, granted);
    for (const oldest of this.granted.keys()) {
      if (this.granted.size <= this.entriesMax) break;
      this.granted.delete(oldest);
    }
  }

  find(annotatorId: AnnotatorId, requestId: string): Granted | undefined {
    return this.granted.get(`${annotatorId}:${requestId}`);
  }
}
