import { ok, type Result, refuse } from '../refusals.ts';
import { faultOf } from '../store/admin/faults.ts';
import { insertTasks, type NewTask } from '../store/admin/import.ts';
import { readProject } from '../store/admin/projects.ts';
import { announcer } from './announcer.ts';
import { type Actor, type AdminContext, read, write } from './context.ts';
import { noProject } from './projects.ts';

/** A chunk is written in one transaction: this many tasks, or this many bytes of their text, whichever is first. */
const CHUNK_TASKS = 1_000;
const CHUNK_BYTES = 4 * 1024 * 1024;
const REJECTED_LIST_MAX = 1_000;
/** Imports at a time in one process: each holds a chunk in memory and a connection while it writes one. */
const IMPORTS_MAX = 8;
/** Two imports of the same external ids can deadlock; the database undoes one of them, which tries again. */
const CLASH_RETRIES = 5;

/** One row of a source: a task, a row that cannot be one, or the place from where the source makes no sense. */
export type ImportRow =
  | { readonly kind: 'task'; readonly line: number; readonly task: NewTask; readonly bytes: number }
  | { readonly kind: 'rejected'; readonly line: number; readonly code: string; readonly message: string }
  | { readonly kind: 'broken'; readonly line: number; readonly message: string };

export interface ImportReport {
  readonly created: number;
  readonly duplicates: number;
  readonly rejectedCount: number;
  /** The first thousand. */
  readonly rejected: readonly { readonly line: number; readonly code: string; readonly message: string }[];
  /** Why it ended early; what was created stays. Absent when the source was read to its end. */
  readonly stopped?: ImportStop;
}

export type ImportStop =
  | { readonly why: 'broken'; readonly line: number; readonly message: string }
  | { readonly why: 'disk_full' | 'away' | 'archived' }
  /** The source itself failed: most often, the client went away. */
  | { readonly why: 'source'; readonly error: unknown };

export interface ImportsAdmin {
  /** Reads rows as fast as they can be written, in constant memory. Refused before the first row is read. */
  run(args: {
    slug: string;
    rows: AsyncIterable<readonly ImportRow[]>;
    actor: Actor;
  }): Promise<Result<ImportReport>>;
}

export function createImportsAdmin(context: AdminContext): ImportsAdmin {
  let running = 0;
  return {
    async run(args) {
      if (running >= IMPORTS_MAX) {
        return refuse('busy', `${IMPORTS_MAX} imports are running.`, { retryAfterMs: 5_000 });
      }
      running++;
      try {
        return await run(context, args);
      } finally {
        running--;
      }
    },
  };
}

async function run(
  context: AdminContext,
  args: { slug: string; rows: AsyncIterable<readonly ImportRow[]>; actor: Actor },
): Promise<Result<ImportReport>> {
  const project = await read(context, (tx) => readProject(tx, args.slug));
  if (project === undefined) return noProject(args.slug);
  if (project.status === 'archived') return refuse('conflict', 'The project is archived.');
  const announce = announcer(() => context.engine.control.tasksImported(project.id));
  const work = new ImportWork(context, args.slug, args.actor, () => announce.soon());
  const stopped = await work.readAll(args.rows);
  if (work.created > 0) await announce.finish();
  const { created, duplicates, rejectedCount, rejected } = work;
  const report = { created, duplicates, rejectedCount, rejected };
  return ok(stopped === undefined ? report : { ...report, stopped });
}

class ImportWork {
  created = 0;
  duplicates = 0;
  rejectedCount = 0;
  readonly rejected: { line: number; code: string; message: string }[] = [];
  private chunk: NewTask[] = [];
  private chunkBytes = 0;
  private readonly context: AdminContext;
  private readonly slug: string;
  private readonly actor: Actor;
  private readonly onCreated: () => void;

  constructor(context: AdminContext, slug: string, actor: Actor, onCreated: () => void) {
    this.context = context;
    this.slug = slug;
    this.actor = actor;
    this.onCreated = onCreated;
  }

  /** @returns why it stopped early, if it did. Rows that were read but not written by then are given up. */
  async readAll(source: AsyncIterable<readonly ImportRow[]>): Promise<ImportStop | undefined> {
    const iterator = source[Symbol.asyncIterator]();
    for (;;) {
      let next: IteratorResult<readonly ImportRow[]>;
      try {
        next = await iterator.next();
      } catch (error) {
        return { why: 'source', error };
      }
      if (next.done === true) return this.flush();
      const stop = await this.take(next.value);
      if (stop === undefined) continue;
      await iterator.return?.();
      return stop;
    }
  }

  private async take(rows: readonly ImportRow[]): Promise<ImportStop | undefined> {
    for (const row of rows) {
      if (row.kind === 'rejected') this.reject(row);
      else if (row.kind === 'broken') {
        return (await this.flush()) ?? { why: 'broken', line: row.line, message: row.message };
      } else {
        this.chunk.push(row.task);
        this.chunkBytes += row.bytes;
        if (this.chunk.length < CHUNK_TASKS && this.chunkBytes < CHUNK_BYTES) continue;
        const stop = await this.flush();
        if (stop !== undefined) return stop;
      }
    }
    return undefined;
  }

  private reject({ line, code, message }: { line: number; code: string; message: string }): void {
    this.rejectedCount++;
    if (this.rejected.length < REJECTED_LIST_MAX) this.rejected.push({ line, code, message });
  }

  private async flush(): Promise<ImportStop | undefined> {
    if (this.chunk.length === 0) return undefined;
    const tasks = this.chunk;
    this.chunk = [];
    this.chunkBytes = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        const created = await this.insert(tasks);
        if (created === undefined) return { why: 'archived' };
        this.created += created;
        this.duplicates += tasks.length - created;
        if (created > 0) this.onCreated();
        return undefined;
      } catch (error) {
        const fault = faultOf(error);
        if (fault === 'clash' && attempt < CLASH_RETRIES) continue;
        if (fault === undefined) throw error;
        return { why: fault === 'disk_full' ? 'disk_full' : 'away' };
      }
    }
  }

  /** The project is read again under a lock: its settings may change, and it may be archived, during an import. */
  private insert(tasks: readonly NewTask[]): Promise<number | undefined> {
    return write(this.context, async (tx) => {
      const project = await readProject(tx, this.slug, 'share');
      if (project === undefined || project.status === 'archived') return undefined;
      return insertTasks(tx, project, tasks, this.actor);
    });
  }
}
