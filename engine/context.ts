import type { AssignmentIds } from './assignment-ids.ts';
import type { Address } from './bus/bus.ts';
import type { Clock } from './clock.ts';
import type { NodePush } from './cluster/node-door.ts';
import type { Committer } from './commit/committer.ts';
import type { Drafts } from './drafts.ts';
import type { AnnotatorId, ProjectId, ShardId, TaskId } from './ids.ts';
import type { Limits } from './limits.ts';
import type { Payloads } from './payloads.ts';
import type { RecentRequests } from './recent-requests.ts';
import type { Roster } from './roster.ts';
import type { Store } from './store/store.ts';

/** Something that an operator should know of. Never carries task data, results or names (I9). */
export interface Incident {
  readonly kind:
    | 'commit_lost'
    | 'read_failed'
    | 'push_failed'
    | 'load_failed'
    | 'renew_failed'
    | 'node_lost'
    | 'task_quarantined'
    | 'listener_failed'
    | 'directory_failed'
    | 'shard_moved'
    | 'message_dropped'
    | 'call_failed'
    | 'name_shared';
  readonly error?: unknown;
  readonly shardId?: ShardId;
  readonly taskId?: TaskId;
  readonly detail?: string;
}

/**
 * A protection that can be taken out, so that a test can see the simulator notice that it is missing. Nothing but a test
 * sets one: no setting of a server leads here.
 */
export type Weakness = 'stale_timer' | 'idempotency' | 'takeover_grace';

/** What every shard of a node shares. */
export interface EngineContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly roster: Roster;
  readonly requests: RecentRequests;
  readonly ids: AssignmentIds;
  readonly payloads: Payloads;
  readonly drafts: Drafts;
  readonly committer: Committer;
  readonly without: ReadonlySet<Weakness>;
  /** False when this node may no longer trust its own ownership: nothing is granted then. */
  mayGrant(): boolean;
  push(annotatorId: AnnotatorId, push: NodePush): void;
  /** To the gateways of the annotator other than this one. */
  pushElsewhere(annotatorId: AnnotatorId, here: Address, push: NodePush): void;
  feed(projectId: ProjectId, seq: number): void;
  incident(incident: Incident): void;
}
