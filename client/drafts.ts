import { WIRE_LIMITS } from '../protocol/limits.ts';
import { inspectJson, type JsonValue } from '../protocol/wire/index.ts';
import { BatonError } from './baton-error.ts';
import type { Link } from './link.ts';
import type { Surroundings } from './surroundings.ts';

interface Draft {
  value: JsonValue;
  isDirty: boolean;
  /** An answer is on its way: a draft that overtook it would be about a lease that is gone. */
  isSuspended: boolean;
  dirtySinceMs: number;
  cancel: (() => void) | undefined;
  sending: Promise<void> | undefined;
}

export interface DraftTimes {
  /** Silence after which a draft is sent. */
  readonly debounceMs: number;
  /** The longest that a draft waits for silence. */
  readonly waitMsMax: number;
  /** How long one sending tries before it is put off. */
  readonly patienceMs: number;
}

/**
 * Saves drafts by themselves. The last draft of each assignment is kept here until the server has it, whatever the
 * connection does, or until the server says that it never will.
 */
export class Drafts {
  readonly #drafts = new Map<string, Draft>();
  readonly #link: Link;
  readonly #surroundings: Surroundings;
  readonly #times: DraftTimes;
  readonly #onSaved: (assignmentId: string, draft: JsonValue) => void;
  readonly #onRefused: (assignmentId: string, error: BatonError) => void;

  constructor(args: {
    link: Link;
    surroundings: Surroundings;
    times: DraftTimes;
    onSaved: (assignmentId: string, draft: JsonValue) => void;
    onRefused: (assignmentId: string, error: BatonError) => void;
  }) {
    this.#link = args.link;
    this.#surroundings = args.surroundings;
    this.#times = args.times;
    this.#onSaved = args.onSaved;
    this.#onRefused = args.onRefused;
  }

  /** @throws BatonError `too_large` or `malformed`, at once. */
  save(assignmentId: string, value: JsonValue): void {
    assertSendable(value, WIRE_LIMITS.draftBytesMax);
    const nowMs = this.#surroundings.nowMs();
    const draft = this.#drafts.get(assignmentId) ?? {
      value,
      isDirty: false,
      isSuspended: false,
      dirtySinceMs: nowMs,
      cancel: undefined,
      sending: undefined,
    };
    this.#drafts.set(assignmentId, draft);
    if (!draft.isDirty) draft.dirtySinceMs = nowMs;
    draft.value = value;
    draft.isDirty = true;
    const longestMs = draft.dirtySinceMs + this.#times.waitMsMax - nowMs;
    this.#schedule(assignmentId, draft, Math.max(0, Math.min(this.#times.debounceMs, longestMs)));
  }

  /** Whether there is a draft that the server does not have. */
  isUnsaved(assignmentId: string): boolean {
    return this.#drafts.get(assignmentId)?.isDirty ?? false;
  }

  /** Sends all that is unsaved, now. Settles when the server has it all, or has refused it. */
  async flush(): Promise<void> {
    await Promise.all([...this.#drafts].map(([assignmentId, draft]) => this.#send(assignmentId, draft)));
  }

  /** Sends one now, if it is unsaved. Never rejects. */
  sendNow(assignmentId: string): void {
    const draft = this.#drafts.get(assignmentId);
    if (draft !== undefined) void this.#send(assignmentId, draft);
  }

  suspend(assignmentId: string): void {
    const draft = this.#drafts.get(assignmentId);
    if (draft === undefined) return;
    draft.isSuspended = true;
    draft.cancel?.();
  }

  resume(assignmentId: string): void {
    const draft = this.#drafts.get(assignmentId);
    if (draft === undefined) return;
    draft.isSuspended = false;
    if (draft.isDirty) this.#schedule(assignmentId, draft, 0);
  }

  /** The answer is in: the draft has done its work. */
  forget(assignmentId: string): void {
    this.#drafts.get(assignmentId)?.cancel?.();
    this.#drafts.delete(assignmentId);
  }

  stop(): void {
    for (const draft of this.#drafts.values()) draft.cancel?.();
  }

  #schedule(assignmentId: string, draft: Draft, delayMs: number): void {
    draft.cancel?.();
    if (draft.isSuspended) return;
    draft.cancel = this.#surroundings.setTimer(delayMs, () => {
      void this.#send(assignmentId, draft);
    });
  }

  /** Never rejects. One sending at a time per assignment; it goes on until what it sent is the latest. */
  #send(assignmentId: string, draft: Draft): Promise<void> {
    draft.cancel?.();
    draft.sending ??= this.#sendUntilClean(assignmentId, draft).finally(() => {
      draft.sending = undefined;
    });
    return draft.sending;
  }

  async #sendUntilClean(assignmentId: string, draft: Draft): Promise<void> {
    while (draft.isDirty && !draft.isSuspended) {
      const sent = draft.value;
      try {
        await this.#link.call(
          'work:draft',
          { assignmentId, draft: sent },
          { patienceMs: this.#times.patienceMs },
        );
      } catch (error) {
        if (!(error instanceof BatonError)) throw error;
        this.#failed(assignmentId, draft, error);
        return;
      }
      if (draft.value !== sent) continue;
      draft.isDirty = false;
      this.#onSaved(assignmentId, sent);
    }
  }

  #failed(assignmentId: string, draft: Draft, error: BatonError): void {
    if (error.code === 'closed') return;
    if (error.retryable) {
      this.#schedule(assignmentId, draft, this.#times.waitMsMax);
      return;
    }
    if (draft.isSuspended) return;
    this.forget(assignmentId);
    this.#onRefused(assignmentId, error);
  }
}

/** @throws BatonError for what the server would refuse, or could not even read. */
export function assertSendable(value: unknown, bytesMax: number): void {
  const inspection = inspectJson(value, bytesMax);
  if (inspection.ok) return;
  throw new BatonError({ ...inspection.problem, retryable: false });
}
