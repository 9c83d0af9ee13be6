import type { Clock } from './clock.ts';
import type { TaskId } from './ids.ts';
import type { Json } from './settings.ts';
import type { Store } from './store/store.ts';

interface Cached {
  readonly data: Json;
  readonly bytes: number;
}

/**
 * Task data for the holders of leases. Data never changes after import, so a copy is as good as the row. What is
 * asked for in one turn of the event loop is read together; the least recently used go first when bytes run out.
 */
export class Payloads {
  private readonly cache = new Map<TaskId, Cached>();
  private bytes = 0;
  private wanted = new Map<
    TaskId,
    { resolve: (data: Json) => void; reject: (error: unknown) => void; promise: Promise<Json> }
  >();
  private readonly store: Pick<Store, 'readPayloads'>;
  private readonly clock: Clock;
  private readonly bytesMax: number;

  constructor(store: Pick<Store, 'readPayloads'>, clock: Clock, bytesMax: number) {
    this.store = store;
    this.clock = clock;
    this.bytesMax = bytesMax;
  }

  /** @throws (rejects) when the database is away or the task has no data any more. */
  get(taskId: TaskId): Promise<Json> {
    const cached = this.cache.get(taskId);
    if (cached) {
      this.cache.delete(taskId);
      this.cache.set(taskId, cached);
      return Promise.resolve(cached.data);
    }
    const wanted = this.wanted.get(taskId);
    if (wanted) return wanted.promise;
    if (this.wanted.size === 0) this.clock.defer(() => void this.readWanted());
    let resolve: (data: Json) => void = unset;
    let reject: (error: unknown) => void = unset;
    const promise = new Promise<Json>((onData, onError) => {
      resolve = onData;
      reject = onError;
    });
    this.wanted.set(taskId, { resolve, reject, promise });
    return promise;
  }

  private async readWanted(): Promise<void> {
    const wanted = this.wanted;
    this.wanted = new Map();
    try {
      const found = await this.store.readPayloads([...wanted.keys()]);
      for (const [taskId, waiting] of wanted) {
        const data = found.get(taskId);
        if (data === undefined) {
          waiting.reject(new Error(`task ${taskId} has no data`));
          continue;
        }
        this.keep(taskId, data);
        waiting.resolve(data);
      }
    } catch (error) {
      for (const waiting of wanted.values()) waiting.reject(error);
    }
  }

  private keep(taskId: TaskId, data: Json): void {
    const bytes = 2 * JSON.stringify(data).length + 64;
    if (bytes > this.bytesMax / 16) return;
    // Two reads of one task may cross.
    this.bytes += bytes - (this.cache.get(taskId)?.bytes ?? 0);
    this.cache.set(taskId, { data, bytes });
    for (const [oldest, cached] of this.cache) {
      if (this.bytes <= this.bytesMax) break;
      this.cache.delete(oldest);
      this.bytes -= cached.bytes;
    }
  }
}

function unset(): void {
  throw new Error('a promise was settled before it was made');
}
