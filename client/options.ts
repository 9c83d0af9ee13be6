import type { ClientEvent, JsonValue, WireAssignment, WireWaiting } from '../protocol/wire/index.ts';
import type { BatonError } from './baton-error.ts';
import type { LinkStatus } from './link.ts';
import type { Surroundings } from './surroundings.ts';

export interface BatonClientOptions {
  /** The server's base URL, for example `http://localhost:3000`. */
  readonly url: string;
  /** An annotator's token, or how to get one; asked at every connect. */
  readonly token: string | (() => string | Promise<string>);
  /** Socket.IO's path on the server, when it is not `/socket.io`. */
  readonly path?: string;
  /** Closes the client when aborted. */
  readonly signal?: AbortSignal;
  /** Milliseconds one attempt waits for its answer. Default 10,000. */
  readonly ackTimeoutMs?: number;
  /** Milliseconds that a call is repeated for, through reconnects and busy answers. Default 60,000. */
  readonly patienceMs?: number;
  /** The same for submit, skip and release. Default 600,000. */
  readonly submitPatienceMs?: number;
  /** Milliseconds of silence after which a draft is saved. Default 800. */
  readonly autosaveMs?: number;
  /** Milliseconds after which a draft is saved though it keeps changing. Default 5,000. */
  readonly autosaveMsMax?: number;
  /** The wait before the second try of anything, in milliseconds; doubled for each further one. Default 250. */
  readonly backoffBaseMs?: number;
  /** Default 5,000. */
  readonly backoffMaxMs?: number;
  readonly surroundings?: Partial<Surroundings>;
  /** Told of everything that goes over the wire, for logs. It must not throw. */
  readonly onTraffic?: (traffic: Traffic) => void;
}

/**
 * One thing that went over the wire. A call that is repeated is sent once per attempt; each attempt is settled once: with
 * the answer, with what it was refused with, or with `timed_out`, `disconnected`, `closed` or `aborted`, after which nobody
 * knows whether it was carried out.
 */
export type Traffic =
  | {
      readonly kind: 'sent';
      readonly attempt: number;
      readonly event: ClientEvent;
      readonly message: unknown;
    }
  | { readonly kind: 'answered'; readonly attempt: number; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly attempt: number; readonly error: BatonError }
  | { readonly kind: 'pushed'; readonly event: string; readonly body: unknown };

export type BatonClientEvents = {
  /**
   * Work that no pending call returns: pushed after waiting, or found open on connecting. Each assignment is given to
   * the application once, here or as what a call returned.
   */
  assigned: { assignment: WireAssignment };
  /** The lease ends soon. Heartbeats are sent anyway; what they cannot extend is the project's maximum. */
  expiring: { assignmentId: string; expiresInMs: number };
  /** The lease has ended, but not by a call of this client: nothing may be submitted for it, unless the project allows late answers. */
  revoked: { assignmentId: string; reason: string };
  draftSaved: { assignmentId: string; draft: JsonValue };
  /** The server will not take this draft, for example because the lease has ended. It is not tried again. */
  draftRefused: { assignmentId: string; error: BatonError };
  /** What is held, whether you wait, whether you are paused: after every change of those. */
  state: { assignments: readonly WireAssignment[]; waiting: WireWaiting | undefined; isPaused: boolean };
  connection: { status: LinkStatus; error: BatonError | undefined };
};
