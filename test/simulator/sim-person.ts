import type { AnnotatorPush, AssignmentView } from '../../engine/door.ts';
import type { AnnotatorId } from '../../engine/ids.ts';
import type { Result } from '../../engine/refusals.ts';
import type { Ledger } from './ledger.ts';
import type { Schedule } from './schedule.ts';
import type { SimNode } from './sim-node.ts';

const BEAT_MS = 2_000;
const ANSWER_MS = 8_000;

interface Held {
  readonly view: AssignmentView;
  isAccepted: boolean;
  isBusy: boolean;
}

/**
 * An annotator with a client that behaves: keeps leases alive, repeats what was not answered under the same ids, and goes
 * to another gateway when its own is gone. Some of the time the person is gone without a word, and may come back with an
 * answer that is late. Several tabs of one annotator may be at several gateways; they know nothing of each other.
 */
export class SimPerson {
  readonly id: AnnotatorId;
  readonly tab: number;
  private readonly schedule: Schedule;
  private readonly ledger: Ledger;
  private readonly random: () => number;
  private readonly gateways: () => SimNode[];
  private readonly held = new Map<number, Held>();
  /** What they held when they went: an answer to one of these comes late. */
  private left: AssignmentView[] = [];
  private node: SimNode | undefined;
  private requests = 0;
  private pending: string | undefined;
  private waits = false;
  private isPaused = false;
  private busy = false;
  private life = 0;
  /** No more skips and silence: everything shall come to its end. */
  isSteady = false;

  constructor(args: {
    id: AnnotatorId;
    tab: number;
    schedule: Schedule;
    ledger: Ledger;
    random: () => number;
    gateways: () => SimNode[];
  }) {
    this.id = args.id;
    this.tab = args.tab;
    this.schedule = args.schedule;
    this.ledger = args.ledger;
    this.random = args.random;
    this.gateways = args.gateways;
  }

  begin(): void {
    this.act(this.random() * 1_000);
    this.beat();
  }

  /** Their gateway has died, or let them go. */
  lostGateway(node: SimNode): void {
    if (this.node !== node) return;
    this.node = undefined;
    this.waits = false;
    this.life += 1;
  }

  pushed(node: SimNode, push: AnnotatorPush): void {
    if (this.node !== node) return;
    if (push.kind === 'assigned') {
      this.ledger.told(this.id, push.assignment);
      this.took(push.assignment);
    }
    if (push.kind === 'revoked') this.held.delete(push.ref.id);
    if (push.kind === 'stale') void this.sync();
  }

  private act(delayMs: number): void {
    this.schedule.at(delayMs, () => {
      if (this.busy) return;
      this.busy = true;
      const turn = this.turn().finally(() => {
        this.busy = false;
      });
      // A turn whose gateway died never ends: the next one is begun in any case.
      let isOver = false;
      const next = () => {
        if (isOver) return;
        isOver = true;
        this.busy = false;
        this.act(100 + this.random() * 2_000);
      };
      void turn.then(next);
      this.schedule.at(ANSWER_MS, next);
    });
  }

  private async turn(): Promise<void> {
    if (!this.node) return this.connect();
    const luck = this.random();
    const lease = [...this.held.values()].find((one) => !one.isBusy);
    const late = this.left.pop();
    if (late) return this.submitLate(late);
    if (this.isPaused && (this.isSteady || luck < 0.5)) return this.resume();
    if (!this.isSteady && luck < 0.03) return this.vanish();
    if (!this.isSteady && luck < 0.05) return this.pause();
    if (lease && !lease.isAccepted && (this.isSteady || luck < 0.8)) return this.accept(lease);
    if (lease && (this.isSteady || luck < 0.6)) return this.submit(lease);
    if (lease && luck < 0.66) return this.giveBack(lease, luck < 0.63 ? 'skip' : 'release');
    if (lease && luck < 0.8) return this.draft(lease);
    if (!this.waits || luck > 0.95) return this.request();
  }

  private async connect(): Promise<void> {
    const up = this.gateways().filter((node) => node.isUp && !node.process.isDead);
    const node = up[Math.floor(this.random() * up.length)];
    if (!node) return;
    const life = ++this.life;
    const state = await node.engine.work.connect(this.id);
    // A gateway that stops meanwhile lets nobody in.
    if (life !== this.life || node.process.isDead || !node.isUp) {
      if (state.ok) node.engine.work.disconnect(this.id);
      return;
    }
    if (!state.ok) return;
    this.node = node;
    this.held.clear();
    this.isPaused = state.value.paused;
    for (const view of state.value.assignments) {
      this.ledger.told(this.id, view);
      this.took(view);
    }
    this.waits = state.value.waiting !== undefined;
  }

  /** Closes the laptop: the socket goes, and nothing is heard for long. */
  private async vanish(): Promise<void> {
    this.node?.engine.work.disconnect(this.id);
    this.node = undefined;
    if (this.random() < 0.5) this.left = [...this.held.values()].map(({ view }) => view);
    this.held.clear();
    this.waits = false;
    this.life += 1;
    await this.schedule.pass(this.random() * 7_000);
  }

  private async sync(): Promise<void> {
    const { node, life } = this;
    if (!node) return;
    const state = await node.engine.work.state(this.id);
    if (life !== this.life) return;
    if (!state.ok) {
      // As the real gateway does: a client whose state cannot be read is let go, and comes back.
      node.engine.work.disconnect(this.id);
      return this.lostGateway(node);
    }
    for (const [id, one] of this.held) {
      if (!one.isBusy && !state.value.assignments.some((view) => view.ref.id === id)) this.held.delete(id);
    }
    for (const view of state.value.assignments) this.took(view);
    this.waits = state.value.waiting !== undefined;
  }

  private async request(): Promise<void> {
    const { node } = this;
    if (!node) return;
    this.requests += this.pending === undefined ? 1 : 0;
    const requestId = this.pending ?? `r${this.id}.${this.tab}-${this.requests}`;
    this.pending = requestId;
    // Who asks is there.
    this.isPaused = false;
    const answer = await node.engine.work.request({ annotatorId: this.id, requestId });
    this.ledger.answered('request', answer);
    if (!answer.ok) {
      if (answer.code !== 'unavailable' && answer.code !== 'busy') this.pending = undefined;
      return;
    }
    if ('assignment' in answer.value) {
      this.ledger.granted(this.id, requestId, answer.value.assignment);
      this.pending = undefined;
      this.waits = false;
      this.took(answer.value.assignment);
      if (this.random() < 0.2) await this.repeat(requestId);
    } else {
      this.waits = true;
    }
  }

  /** As when the answer was lost on its way: the same lease again, if it is still open. */
  private async repeat(requestId: string): Promise<void> {
    const answer = await this.node?.engine.work.request({ annotatorId: this.id, requestId });
    if (!answer) return;
    this.ledger.answered('repeat', answer);
    if (answer.ok && 'assignment' in answer.value)
      this.ledger.granted(this.id, requestId, answer.value.assignment);
  }

  private async accept(lease: Held): Promise<void> {
    const { node } = this;
    if (!node) return;
    const sentMs = this.schedule.nowMs;
    const answer = await node.engine.work.accept(this.id, lease.view.ref);
    this.ledger.answered('accept', answer);
    if (answer.ok) this.ledger.beaten(lease.view.ref.id, sentMs, answer.value.expiresInMs);
    lease.isAccepted = answer.ok;
    if (isFinal(answer)) this.held.delete(lease.view.ref.id);
  }

  private async pause(): Promise<void> {
    const answer = await this.node?.engine.work.pause(this.id);
    if (answer) this.ledger.answered('pause', answer);
    if (answer?.ok) this.isPaused = true;
  }

  private async resume(): Promise<void> {
    const answer = await this.node?.engine.work.resume(this.id);
    if (answer) this.ledger.answered('resume', answer);
    if (answer?.ok) this.isPaused = false;
  }

  /** Back from wherever they were, they send what they had made meanwhile. */
  private async submitLate(view: AssignmentView): Promise<void> {
    const answer = await this.node?.engine.work.submit(this.submission(view, false));
    if (!answer) return;
    this.ledger.answered('submit late', answer);
    if (answer.ok) this.ledger.submitted(view, answer.value.receipt);
    else if (!isFinal(answer)) this.left.push(view);
  }

  private submission(view: AssignmentView, next: boolean) {
    const submissionId = `s${view.ref.id}`;
    return { annotatorId: this.id, ref: view.ref, submissionId, result: { of: submissionId }, next };
  }

  private async submit(lease: Held): Promise<void> {
    const { node } = this;
    if (!node) return;
    lease.isBusy = true;
    const { view } = lease;
    const answer = await node.engine.work.submit(this.submission(view, this.random() < 0.5));
    this.ledger.answered('submit', answer);
    lease.isBusy = false;
    if (!answer.ok) {
      if (isFinal(answer)) this.held.delete(view.ref.id);
      return;
    }
    this.held.delete(view.ref.id);
    this.ledger.submitted(view, answer.value.receipt);
    const { next } = answer.value;
    if (next && 'assignment' in next) {
      this.ledger.told(this.id, next.assignment);
      this.took(next.assignment);
    } else if (next) this.waits = true;
    // A request id is used once: the next request of ours is another.
    this.pending = undefined;
  }

  private async giveBack(lease: Held, how: 'skip' | 'release'): Promise<void> {
    const { node } = this;
    if (!node) return;
    lease.isBusy = true;
    const answer = await node.engine.work[how](this.id, lease.view.ref);
    this.ledger.answered(how, answer);
    lease.isBusy = false;
    if (answer.ok || isFinal(answer)) this.held.delete(lease.view.ref.id);
  }

  private async draft(lease: Held): Promise<void> {
    const answer = await this.node?.engine.work.draft(
      this.id,
      lease.view.ref,
      `draft of ${lease.view.ref.id}`,
    );
    if (answer) this.ledger.answered('draft', answer);
    if (answer?.ok) this.ledger.drafted(lease.view);
  }

  private beat(): void {
    this.schedule.at(BEAT_MS * (0.8 + this.random() * 0.4), () => {
      void this.sendBeat();
      this.beat();
    });
  }

  private async sendBeat(): Promise<void> {
    const { node, life } = this;
    const refs = [...this.held.values()].map(({ view }) => view.ref);
    if (!node || refs.length === 0) return;
    const sentMs = this.schedule.nowMs;
    const answer = await node.engine.work.heartbeat(this.id, refs);
    this.ledger.answered('heartbeat', answer);
    if (!answer.ok) return;
    for (const { ref, expiresInMs } of answer.value.alive) this.ledger.beaten(ref.id, sentMs, expiresInMs);
    if (life !== this.life) return;
    for (const { id } of answer.value.ended) if (!this.held.get(id)?.isBusy) this.held.delete(id);
  }

  private took(view: AssignmentView): void {
    this.waits = false;
    this.pending = undefined;
    if (!this.held.has(view.ref.id))
      this.held.set(view.ref.id, { view, isAccepted: view.state === 'active', isBusy: false });
  }
}

function isFinal(answer: Result<unknown>): boolean {
  return !answer.ok && answer.code !== 'unavailable' && answer.code !== 'busy';
}
