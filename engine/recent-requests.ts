import type { AnnotatorId } from './ids.ts';
import { Recent } from './recent.ts';
import type { Lease } from './shard/lease.ts';

/**
 * Which lease a request led to, for as long as memory of it lasts: a repeated request id gets the first answer.
 * Open leases carry their request id on disk too, so this only matters for leases that have ended since.
 */
export class RecentRequests {
  private readonly granted: Recent<string, Lease>;

  constructor(entriesMax: number) {
    this.granted = new Recent(entriesMax);
  }

  remember(annotatorId: AnnotatorId, requestId: string, lease: Lease): void {
    this.granted.set(`${annotatorId}:${requestId}`, lease);
  }

  find(annotatorId: AnnotatorId, requestId: string): Lease | undefined {
    return this.granted.get(`${annotatorId}:${requestId}`);
  }
}
