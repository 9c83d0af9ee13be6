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
 * asked for in one turn of the event loop is read together. The cache has two generations: what is used
 * is in the young one, and when that holds half of the bytes it becomes the old one and the old one is dropped whole. Dropping
 * entries one by one from the front of a large Map steps over every entry dropped before.
 */
export class Payloads {
  private young = new Map<TaskId, Cached>();
  private old = new Map<TaskId, Cached>();
  private youngBytes = 0;
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
    const cached = this.young.get(taskId) ?? this.old.get(taskId);
    if (cached) {
      this.admit(taskId, cached);
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
        const text = found.get(taskId);
        if (text === undefined) waiting.reject(new Error(`task ${taskId} has no data`));
        else waiting.resolve(this.keep(taskId, text));
      }
    } catch (error) {
      for (const waiting of wanted.values()) waiting.reject(error);
    }
  }

  private keep(taskId: TaskId, text: string): Json {
    const data: Json = JSON.parse(text);
    const bytes = 2 * text.length + 64;
    if (bytes <= this.bytesMax / 16) this.admit(taskId, { data, bytes });
    return data;
  }

  private admit(taskId: TaskId, cached: Cached): void {
    if (this.young.has(taskId)) return;
    this.young.set(taskId, cached);
    this.youngBytes += cached.bytes;
    if (this.youngBytes <= this.bytesMax / 2) return;
    this.old = this.young;
    this.young = new Map();
    this.youngBytes = 0;
  }
}

function unset(): void {
  throw new Error('a promise was settled before it was made');
}
