import { randomUUID } from 'node:crypto';
import type {
  AnnotatorPush,
  AssignmentView,
  Receipt,
  RequestAnswer,
  SessionState,
  WaitingReasons,
} from '../../engine/door.ts';
import { type AnnotatorId, asId, type ProjectId, type ShardId, type TaskId } from '../../engine/ids.ts';
import {
  createEngine,
  type Database,
  type Engine,
  type EngineOptions,
  type Incident,
  openDatabase,
  openPostgresStore,
} from '../../engine/index.ts';
import type { Limits } from '../../engine/limits.ts';
import type { Result } from '../../engine/refusals.ts';
import {
  DEFAULT_SETTINGS,
  type Json,
  type ProjectSettings,
  type Requirement,
} from '../../engine/settings.ts';
import { insertTasks } from '../../engine/store/admin/import.ts';
import { insertProject, type ProjectRecord } from '../../engine/store/admin/projects.ts';
import { ANNOTATOR_STATUS_CODES, PROJECT_STATUS_CODES } from '../../engine/store/codes.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { violations } from './invariants.ts';
import { ManualClock } from './manual-clock.ts';
import { type Interceptor, WatchedStore } from './watched-store.ts';

/** A database of its own, with people, projects and any number of engines on it. */
export class World {
  readonly db: Database;
  readonly database: TestDatabase;
  private readonly nodes: Node[] = [];

  private constructor(database: TestDatabase) {
    this.database = database;
    this.db = openDatabase({ url: database.url, poolMax: 3, applicationName: 'test' });
  }

  static async create(): Promise<World> {
    return new World(await createTestDatabase());
  }

  async project(settings: Partial<ProjectSettings> = {}, slug = `p-${randomUUID()}`): Promise<Project> {
    const record = await this.db.transaction((tx) =>
      insertProject(tx, { slug, name: slug, settings: { ...DEFAULT_SETTINGS, ...settings } }),
    );
    if (!record) throw new Error(`the slug ${slug} is taken`);
    return { record, id: record.id, shardId: at(record.shardIds, 0), slug };
  }

  /** Writes tasks and their announcement, as an import does; no engine is told. */
  async tasks(project: Project, tasks: readonly TaskWish[]): Promise<TaskId[]> {
    const names = tasks.map(() => randomUUID());
    const rows = tasks.map((task, i) => ({
      data: { n: i },
      ...task,
      ...(names[i] === undefined ? {} : { externalId: names[i] }),
    }));
    await this.db.transaction((tx) => insertTasks(tx, project.record, rows, 'test'));
    const made = await this.db<{ id: TaskId; project_id: number; external_id: string }>('tasks')
      .where({ project_id: project.id })
      .whereIn('external_id', names)
      .orderBy('id')
      .select('id');
    return made.map((row) => row.id);
  }

  async annotator(wish: AnnotatorWish = {}): Promise<AnnotatorId> {
    const name = randomUUID();
    const made = await this.db.raw<{ rows: { id: number }[] }>(
      'insert into annotators (external_id, name, capacity, skills) values (?, ?, ?, ?) returning id',
      [name, name, wish.capacity ?? 1, JSON.stringify(wish.skills ?? {})],
    );
    const [row] = made.rows;
    if (!row) throw new Error('no annotator was made');
    return asId<AnnotatorId>(row.id);
  }

  async changeAnnotator(
    id: AnnotatorId,
    change: AnnotatorWish & { status?: keyof typeof ANNOTATOR_STATUS_CODES },
  ): Promise<void> {
    await this.db('annotators')
      .where({ id })
      .update({
        ...(change.capacity === undefined ? {} : { capacity: change.capacity }),
        ...(change.skills === undefined ? {} : { skills: JSON.stringify(change.skills) }),
        ...(change.status === undefined ? {} : { status: ANNOTATOR_STATUS_CODES[change.status] }),
      });
  }

  async changeProject(
    project: Project,
    change: { settings?: Partial<ProjectSettings>; status?: keyof typeof PROJECT_STATUS_CODES },
  ): Promise<void> {
    await this.db('projects')
      .where({ id: project.id })
      .update({
        ...(change.settings === undefined
          ? {}
          : { settings: JSON.stringify({ ...project.record.settings, ...change.settings }) }),
        ...(change.status === undefined ? {} : { status: PROJECT_STATUS_CODES[change.status] }),
      });
  }

  /** A started engine. */
  async engine(options: NodeOptions = {}): Promise<Node> {
    const node = new Node(this, options);
    this.nodes.push(node);
    await node.engine.start();
    return node;
  }

  /** Whatever any engine has begun is done. */
  async quiet(): Promise<void> {
    for (const node of this.nodes) await node.store.quiet();
  }

  /** The node looks dead to the others, as after a long silence. */
  async age(node: Node): Promise<void> {
    await this.db('nodes')
      .where({ name: node.name })
      .update({ renewed_at: this.db.raw(`now() - interval '1 minute'`) });
  }

  async count(table: string, where: Record<string, string | number | boolean>): Promise<number> {
    const [row] = await this.db(table).where(where).count<{ count: number }[]>('* as count');
    return Number(row?.count ?? 0);
  }

  /** Stops every engine and looks at all that the database holds. @returns what is wrong. */
  async close(): Promise<string[]> {
    try {
      await this.quiet();
      for (const node of this.nodes) {
        if (!node.isDead) await node.engine.stop();
        await node.store.close();
      }
      return await violations(this.db);
    } finally {
      await this.db.destroy();
      await this.database.drop();
    }
  }
}

export interface Project {
  readonly record: ProjectRecord;
  readonly id: ProjectId;
  readonly shardId: ShardId;
  readonly slug: string;
}

export interface TaskWish {
  readonly data?: Json;
  readonly priority?: number;
  readonly overlap?: number;
  readonly requirements?: readonly Requirement[];
}

export interface AnnotatorWish {
  readonly capacity?: number;
  readonly skills?: Readonly<Record<string, number>>;
}

export interface NodeOptions extends Pick<EngineOptions, 'roles' | 'bus'> {
  readonly limits?: Partial<Limits>;
  readonly random?: () => number;
  readonly intercept?: Interceptor;
}

/** One engine with everything that a test wants to see of it. */
export class Node {
  readonly name = randomUUID();
  readonly store: WatchedStore;
  readonly clock: ManualClock;
  readonly engine: Engine;
  readonly incidents: Incident[] = [];
  readonly pushes: { to: AnnotatorId; push: AnnotatorPush }[] = [];
  /** Shard batches of every commit, in order. */
  readonly commits: number[] = [];
  isDead = false;
  private readonly world: World;

  constructor(world: World, { intercept, ...options }: NodeOptions) {
    this.world = world;
    this.store = new WatchedStore(openPostgresStore(world.database.url));
    if (intercept) this.store.intercept = intercept;
    this.clock = new ManualClock(() => this.store.quiet());
    this.engine = createEngine({
      store: this.store,
      nodeName: this.name,
      version: 'test',
      clock: this.clock,
      onIncident: (incident) => this.incidents.push(incident),
      onCommit: (_durationMs, batches) => this.commits.push(batches.length),
      ...options,
    });
    this.engine.onPush((to, push) => this.pushes.push({ to, push }));
  }

  person(id: AnnotatorId): Person {
    return new Person(this, id);
  }

  /** A new annotator with a socket here. */
  async arrive(wish: AnnotatorWish = {}): Promise<Person> {
    const person = this.person(await this.world.annotator(wish));
    await person.connect();
    return person;
  }

  /** As `kill -9`, and time enough for the others to see it. */
  async crash(): Promise<void> {
    this.isDead = true;
    this.store.kill();
    await this.store.quiet();
    await this.world.age(this);
  }

  incidentsOf(kind: Incident['kind']): Incident[] {
    return this.incidents.filter((incident) => incident.kind === kind);
  }
}

/** An annotator at a node. Methods throw on a refusal; `try…` hand it over. */
export class Person {
  readonly node: Node;
  readonly id: AnnotatorId;
  private requests = 0;

  constructor(node: Node, id: AnnotatorId) {
    this.node = node;
    this.id = id;
  }

  at(node: Node): Person {
    return new Person(node, this.id);
  }

  async connect(): Promise<SessionState> {
    return granted(await this.node.engine.work.connect(this.id));
  }

  disconnect(): void {
    this.node.engine.work.disconnect(this.id);
  }

  async state(): Promise<SessionState> {
    return granted(await this.node.engine.work.state(this.id));
  }

  tryRequest(projects: readonly Project[], requestId = this.newId()): Promise<Result<RequestAnswer>> {
    return this.node.engine.work.request({
      annotatorId: this.id,
      requestId,
      projects: projects.map((project) => project.slug),
    });
  }

  /** Asks and gets a lease. */
  async take(project: Project, requestId?: string): Promise<AssignmentView> {
    const answer = granted(await this.tryRequest([project], requestId));
    if ('waiting' in answer) throw new Error(`there was nothing: ${JSON.stringify(answer.waiting)}`);
    return answer.assignment;
  }

  /** Asks and has to wait. */
  async wait(...projects: Project[]): Promise<WaitingReasons> {
    const answer = granted(await this.tryRequest(projects));
    if (!('waiting' in answer)) throw new Error(`task ${answer.assignment.taskId} was given`);
    return answer.waiting;
  }

  trySubmit(
    view: AssignmentView,
    more: { submissionId?: string; result?: Json; next?: boolean; projects?: readonly Project[] } = {},
  ): Promise<Result<{ receipt: Receipt; next?: RequestAnswer }>> {
    return this.node.engine.work.submit({
      annotatorId: this.id,
      ref: view.ref,
      submissionId: more.submissionId ?? `s-${view.ref.id}`,
      result: more.result ?? { label: 'cat' },
      next: more.next ?? false,
      projects: more.projects?.map((project) => project.slug) ?? [view.project],
    });
  }

  async submit(view: AssignmentView, more: { submissionId?: string; result?: Json } = {}): Promise<Receipt> {
    return granted(await this.trySubmit(view, more)).receipt;
  }

  async draft(view: AssignmentView, draft: Json): Promise<void> {
    granted(await this.node.engine.work.draft(this.id, view.ref, draft));
  }

  async skip(view: AssignmentView): Promise<void> {
    granted(await this.node.engine.work.skip(this.id, view.ref));
  }

  async release(view: AssignmentView): Promise<void> {
    granted(await this.node.engine.work.release(this.id, view.ref));
  }

  async beat(...views: AssignmentView[]): Promise<{ alive: number; ended: number }> {
    const refs = views.map((view) => view.ref);
    const answer = granted(await this.node.engine.work.heartbeat(this.id, refs));
    return { alive: answer.alive.length, ended: answer.ended.length };
  }

  /** What was pushed to this annotator so far. */
  pushed<Kind extends AnnotatorPush['kind']>(kind: Kind): Extract<AnnotatorPush, { kind: Kind }>[] {
    const isOfKind = (push: AnnotatorPush): push is Extract<AnnotatorPush, { kind: Kind }> =>
      push.kind === kind;
    return this.node.pushes
      .filter(({ to }) => to === this.id)
      .map(({ push }) => push)
      .filter(isOfKind);
  }

  /** The lease that was pushed last, once everything under way is done. */
  async assigned(): Promise<AssignmentView> {
    await this.node.store.quiet();
    const last = this.pushed('assigned').at(-1);
    if (!last) throw new Error(`nothing was pushed to annotator ${this.id}`);
    return last.assignment;
  }

  private newId(): string {
    this.requests += 1;
    return `r-${this.id}-${this.requests}-${this.node.name}`;
  }
}

/** Something stops here until the test lets it go on. */
export class Gate {
  readonly reached: Promise<void>;
  private readonly opened: Promise<void>;
  private announce: () => void = unset;
  private letGo: () => void = unset;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.announce = resolve;
    });
    this.opened = new Promise((resolve) => {
      this.letGo = resolve;
    });
  }

  pass(): Promise<void> {
    this.announce();
    return this.opened;
  }

  open(): void {
    this.letGo();
  }
}

function unset(): void {
  throw new Error('a promise was settled before it was made');
}

/** @throws for a refusal, with its code. */
export function granted<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${result.code}: ${result.message}`);
  return result.value;
}

/** The code of a refusal, or 'ok'. */
export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'ok' : result.code;
}

/** @throws when there is no such item: for lists whose length the test has just made sure of. */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`no item ${index} among ${items.length}`);
  return item;
}
