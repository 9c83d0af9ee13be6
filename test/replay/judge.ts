import { type Assignment, BatonClient, BatonError, type JsonValue } from '../../client/index.ts';
import type { EventFollower } from './event-follower.ts';

/** What goes wrong on the way to an answer; each judge meets each of its mishaps once. */
export type Mishap =
  /** The answer is handed in a second time, under the same submission id and then under another. */
  | 'repeat'
  /** The page is closed and opened again at once. */
  | 'reopen'
  /** The page is closed, with a draft saved, until the lease is gone. */
  | 'abandon'
  /** The page stays open, and the answer comes after the lease has ended. */
  | 'expire'
  /** A draft is saved and the task given back. */
  | 'release';

export interface JudgeArgs {
  readonly url: string;
  readonly token: string;
  readonly worker: string;
  /** What this worker answered, by the server's id of the task. */
  readonly judgments: ReadonlyMap<string, JsonValue>;
  readonly mishaps: ReadonlyMap<string, Mishap>;
  readonly feed: EventFollower;
  readonly onSubmitted: () => void;
}

/**
 * A worker of the recording, behind the SDK: answers exactly what they once answered, with the mishaps that it is told, and
 * skips everything else.
 */
export class Judge {
  readonly met: Mishap[] = [];
  readonly wrong: string[] = [];
  skips = 0;
  readonly #args: JudgeArgs;
  readonly #left: Map<string, JsonValue>;
  readonly #mishaps: Map<string, Mishap>;
  /** Answers that the server must give back as drafts when the task comes again. */
  readonly #keptDrafts = new Map<string, JsonValue>();
  #client: BatonClient;
  #doing = 'connecting';

  constructor(args: JudgeArgs) {
    this.#args = args;
    this.#left = new Map(args.judgments);
    this.#mishaps = new Map(args.mishaps);
    this.#client = this.#newClient();
  }

  get left(): number {
    return this.#left.size;
  }

  /** Until everything is answered. */
  async work(): Promise<void> {
    while (this.#left.size > 0) {
      this.#doing = 'waiting';
      const assignment = await this.#client.nextAssignment();
      this.#doing = `${this.#mishaps.get(assignment.taskId) ?? 'answering'} ${assignment.taskId}`;
      await this.#handle(assignment);
    }
    this.#client.close();
  }

  /** What keeps it, for whoever has to find out why it does not come to an end. */
  describe(): string {
    const { status, assignments, waiting } = this.#client;
    const held = assignments.map(({ id, taskId }) => `${id} of ${taskId}`);
    const tasks = [...this.#left.keys()];
    return JSON.stringify({ worker: this.#args.worker, doing: this.#doing, tasks, status, held, waiting });
  }

  close(): void {
    this.#client.close();
  }

  #newClient(): BatonClient {
    const { url, token } = this.#args;
    const client = new BatonClient({ url, token, backoffBaseMs: 50, backoffMaxMs: 250 });
    // The first attempt may meet a server that is down: the client goes on trying, and calls wait for it.
    client.connect().catch((error: unknown) => this.#unlessClosed(error));
    return client;
  }

  async #handle(assignment: Assignment): Promise<void> {
    const { taskId } = assignment;
    const answer = this.#left.get(taskId);
    if (answer === undefined) {
      if (this.#args.judgments.has(taskId)) this.wrong.push(`${taskId} came again after it was answered`);
      await this.#skip(assignment.id);
      return;
    }
    this.#checkDraft(assignment);
    const mishap = this.#mishaps.get(taskId);
    this.#mishaps.delete(taskId);
    if (mishap !== undefined) this.met.push(mishap);
    switch (mishap) {
      case undefined:
        await this.#submit(assignment, answer);
        return;
      case 'repeat':
        return this.#submitTwice(assignment, answer);
      case 'reopen':
        this.#client.close();
        this.#client = this.#newClient();
        return;
      case 'abandon':
        return this.#abandon(assignment, answer);
      case 'expire':
        return this.#expire(assignment, answer);
      case 'release':
        this.#client.saveDraft(assignment.id, answer);
        await this.#unlessLost(this.#client.release(assignment.id));
        this.#keptDrafts.set(taskId, answer);
    }
  }

  async #submit(assignment: Assignment, answer: JsonValue): Promise<string | undefined> {
    try {
      const { receipt } = await this.#client.submit(assignment.id, answer);
      if (receipt.status !== 'counted')
        this.wrong.push(`the answer to ${assignment.taskId} is ${receipt.status}`);
      this.#answered(assignment.taskId);
      return receipt.submissionId;
    } catch (error) {
      // It took longer than the lease lives to get through: the task comes again, with what was sent as the draft.
      this.#unlessLeaseEnded(error);
      this.#keptDrafts.set(assignment.taskId, answer);
      return undefined;
    }
  }

  async #submitTwice(assignment: Assignment, answer: JsonValue): Promise<void> {
    const submissionId = await this.#submit(assignment, answer);
    if (submissionId === undefined) return;
    const again = await this.#submitElsewhere(assignment.id, answer, submissionId);
    if (again !== submissionId) this.wrong.push(`a repeated submit of ${assignment.taskId} got ${again}`);
    const other = await this.#submitElsewhere(assignment.id, answer, `${submissionId}-other`);
    if (other !== 'already_submitted') this.wrong.push(`another submit of ${assignment.taskId} got ${other}`);
  }

  /** Hands in from a second tab. @returns the receipt's submission id, or the code of the refusal */
  async #submitElsewhere(assignmentId: string, answer: JsonValue, submissionId: string): Promise<string> {
    const { url, token } = this.#args;
    const tab = new BatonClient({ url, token, surroundings: { newId: () => submissionId } });
    tab.connect().catch((error: unknown) => this.#unlessClosed(error));
    try {
      return (await tab.submit(assignmentId, answer)).receipt.submissionId;
    } catch (error) {
      if (error instanceof BatonError) return error.code;
      throw error;
    } finally {
      tab.close();
    }
  }

  async #abandon(assignment: Assignment, answer: JsonValue): Promise<void> {
    this.#client.saveDraft(assignment.id, answer);
    await this.#client.flushDrafts();
    this.#client.close();
    await this.#args.feed.untilLost(assignment.id);
    this.#keptDrafts.set(assignment.taskId, answer);
    this.#client = this.#newClient();
  }

  async #expire(assignment: Assignment, answer: JsonValue): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#client.on('revoked', ({ assignmentId }) => assignmentId === assignment.id && resolve());
    });
    await ended;
    // Where nothing went wrong the lease is over, and what is sent now is refused and kept as the draft.
    if ((await this.#submit(assignment, answer)) !== undefined)
      this.wrong.push(`a late answer to ${assignment.taskId} was taken, against the project's policy`);
  }

  async #skip(assignmentId: string): Promise<void> {
    await this.#unlessLost(this.#client.skip(assignmentId, 'not judged in the recording'));
    this.skips += 1;
  }

  #answered(taskId: string): void {
    this.#left.delete(taskId);
    this.#args.onSubmitted();
  }

  #checkDraft({ taskId, draft }: Assignment): void {
    const kept = this.#keptDrafts.get(taskId);
    if (kept === undefined) return;
    if (JSON.stringify(draft) !== JSON.stringify(kept))
      this.wrong.push(`the draft of ${taskId} is ${JSON.stringify(draft)}`);
  }

  async #unlessLost(call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      this.#unlessLeaseEnded(error);
    }
  }

  #unlessLeaseEnded(error: unknown): void {
    if (!(error instanceof BatonError && error.code === 'lease_ended')) throw error;
  }

  #unlessClosed(error: unknown): void {
    if (!(error instanceof BatonError && error.code === 'closed')) throw error;
  }
}
