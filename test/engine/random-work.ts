import type { AssignmentView, Receipt } from '../../engine/door.ts';
import type { Result } from '../../engine/refusals.ts';
import { StoreError } from '../../engine/store/store-error.ts';
import type { Node, Person, Project, World } from './harness.ts';

/** What a client may be told at any time without anything being wrong. */
const EXPECTED: ReadonlySet<string> = new Set([
  'ok',
  'busy',
  'unavailable',
  'lease_ended',
  'already_submitted',
  'at_capacity',
  'unknown_assignment',
  'not_accepted',
]);

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Annotators who do anything at any time, and remember what they were promised. */
export class RandomWork {
  readonly problems: string[] = [];
  /** First receipts, by submission id. */
  readonly receipts = new Map<string, Receipt>();
  /** How often each thing was done, and answered how. */
  readonly tally = new Map<string, number>();
  node: Node;
  isFaulty = true;
  private readonly world: World;
  private readonly random: () => number;
  private readonly projects: readonly Project[];
  private readonly people: Person[];
  private readonly connections = new Map<number, number>();
  /** Every lease that anybody ever heard of: old ones are tried again, too. */
  private readonly seen: { view: AssignmentView; index: number }[] = [];
  private readonly asked = new Map<string, AssignmentView['ref']>();
  private requests = 0;

  constructor(args: {
    world: World;
    node: Node;
    projects: readonly Project[];
    people: readonly Person[];
    random: () => number;
  }) {
    this.world = args.world;
    this.node = args.node;
    this.projects = args.projects;
    this.people = [...args.people];
    this.random = args.random;
    this.watch(args.node);
  }

  /** Another engine has taken over: everybody connects there. */
  async moveTo(node: Node): Promise<void> {
    this.node = node;
    this.watch(node);
    // Which request led to a lease that has ended is known for as long as the engine lives.
    this.asked.clear();
    for (const [index, person] of this.people.entries()) {
      const moved = person.at(node);
      this.people[index] = moved;
      const sockets = this.connections.get(moved.id) ?? 0;
      for (let i = 0; i < sockets; i++) this.check('connect', await node.engine.work.connect(moved.id));
    }
  }

  /** Lets some commits fail, be lost on the way, or be done and not answered, and some reads fail. */
  private watch(node: Node): void {
    node.store.intercept = async (method, call) => {
      const luck = this.isFaulty ? this.random() : 1;
      const mayFail = method === 'commit' || method === 'readReady' || method === 'readBack';
      if (mayFail && luck < 0.01) throw new StoreError(new Error('the database is away'));
      const answer = await call();
      if (method === 'commit' && luck < 0.02) throw new StoreError(new Error('the answer was lost'));
      return answer;
    };
    node.engine.onPush((to, push) => {
      const index = this.people.findIndex((person) => person.id === to);
      if (push.kind === 'assigned') this.seen.push({ view: push.assignment, index });
    });
  }

  async step(): Promise<void> {
    const index = Math.floor(this.random() * this.people.length);
    const person = this.people[index];
    if (!person) return;
    const luck = this.random();
    if (luck < 0.34) await this.request(person, index);
    else if (luck < 0.62) await this.submit(person, index);
    else if (luck < 0.67) await this.giveBack(person, index, 'skip');
    else if (luck < 0.72) await this.giveBack(person, index, 'release');
    else if (luck < 0.84) await this.beat(person, index);
    else if (luck < 0.9) await this.draft(person, index);
    else await this.comeOrGo(person);
  }

  /** At rest: nobody may wait while there is a task for them, in a project that they wait for (I8). */
  async checkWaiting(): Promise<void> {
    for (const person of this.people) {
      if ((this.connections.get(person.id) ?? 0) === 0) continue;
      const state = this.check('state', await this.node.engine.work.state(person.id));
      if (!state?.waiting || state.paused) continue;
      const found = await this.world.db.raw<{ rows: { id: number }[] }>(
        `select t.id from tasks t where t.state = 1 and not t.had @> array[:annotator::int]
           and t.overlap > (select count(*) from assignments a where a.task_id = t.id and a.state <= 4)
           and not exists (select from assignments a
             where a.task_id = t.id and a.annotator_id = :annotator and a.state <= 2)
           and (select count(*) from assignments a where a.annotator_id = :annotator and a.state <= 2) <
               (select capacity from annotators where id = :annotator)`,
        { annotator: person.id },
      );
      if (found.rows.length > 0)
        this.problems.push(`annotator ${person.id} waits, and there is task ${found.rows[0]?.id}`);
    }
  }

  private async request(person: Person, index: number): Promise<void> {
    const isRepeat = this.random() < 0.15;
    const number = isRepeat ? Math.floor(this.random() * this.requests) : this.requests++;
    const requestId = `${person.id}-${number}`;
    const answer = this.check('request', await person.tryRequest(this.projects, requestId));
    if (!answer || 'waiting' in answer) return;
    const before = this.asked.get(requestId);
    if (before && before.id !== answer.assignment.ref.id)
      this.problems.push(`request ${requestId} led to ${before.id} and to ${answer.assignment.ref.id}`);
    this.asked.set(requestId, answer.assignment.ref);
    this.seen.push({ view: answer.assignment, index });
  }

  private async submit(person: Person, index: number): Promise<void> {
    const view = this.anyOf(index);
    if (!view) return;
    const submissionId = this.random() < 0.9 ? `s-${view.ref.id}` : `t-${view.ref.id}`;
    const next = this.random() < 0.5;
    const answer = this.check(
      'submit',
      await person.trySubmit(view, { submissionId, next, result: submissionId, projects: this.projects }),
    );
    if (!answer) return;
    const first = this.receipts.get(submissionId) ?? answer.receipt;
    if (JSON.stringify(first) !== JSON.stringify(answer.receipt))
      this.problems.push(`${JSON.stringify(first)}, then ${JSON.stringify(answer.receipt)}`);
    this.receipts.set(submissionId, first);
    if (answer.next && 'assignment' in answer.next) this.seen.push({ view: answer.next.assignment, index });
  }

  private async giveBack(person: Person, index: number, how: 'skip' | 'release'): Promise<void> {
    const view = this.anyOf(index);
    if (view) this.check(how, await this.node.engine.work[how](person.id, view.ref));
  }

  private async beat(person: Person, index: number): Promise<void> {
    const refs = [this.anyOf(index), this.anyOf(index)].flatMap((view) => (view ? [view.ref] : []));
    this.check('beat', await this.node.engine.work.heartbeat(person.id, refs));
  }

  private async draft(person: Person, index: number): Promise<void> {
    const view = this.anyOf(index);
    if (view)
      this.check('draft', await this.node.engine.work.draft(person.id, view.ref, { of: view.ref.id }));
  }

  private async comeOrGo(person: Person): Promise<void> {
    const sockets = this.connections.get(person.id) ?? 0;
    if (sockets > 0 && this.random() < 0.5) {
      this.connections.set(person.id, sockets - 1);
      this.node.engine.work.disconnect(person.id);
    } else if (sockets < 2) {
      this.connections.set(person.id, sockets + 1);
      const state = await this.node.engine.work.connect(person.id);
      this.check('connect', state);
      // Told that it did not work, a client is not connected.
      if (!state.ok) this.connections.set(person.id, (this.connections.get(person.id) ?? 1) - 1);
    }
  }

  /** One of the leases of this annotator, mostly a late one. */
  private anyOf(index: number): AssignmentView | undefined {
    const own = this.seen.filter((entry) => entry.index === index);
    const back = Math.floor(this.random() ** 3 * Math.min(own.length, 30));
    return own.at(-1 - back)?.view;
  }

  private check<T>(what: string, result: Result<T>): T | undefined {
    const code = result.ok ? 'ok' : result.code;
    const key = `${what} ${code}`;
    this.tally.set(key, (this.tally.get(key) ?? 0) + 1);
    if (!EXPECTED.has(code)) this.problems.push(`${what} was refused: ${code}`);
    return result.ok ? result.value : undefined;
  }
}
