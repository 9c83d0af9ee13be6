import { z } from 'zod';
import type { Address, BusPayload } from './bus.ts';

const VERSION = 1;
/** A publication, as JSON text. A task's data and an answer fit several times. */
export const PUBLICATION_CHARS_MAX = 16 * 1024 * 1024;
/** From this size on what waits for the end of the turn is sent in several publications. */
export const PUBLICATION_CHARS_WANTED = 1024 * 1024;

const envelope = z.object({
  v: z.literal(VERSION),
  from: z.string().min(1).max(100),
  m: z.array(z.unknown()),
});

/** @param texts messages, each as JSON text already. */
export function seal(from: Address, texts: readonly string[]): string {
  return `{"v":${VERSION},"from":${JSON.stringify(from)},"m":[${texts.join(',')}]}`;
}

/** @returns undefined when this is no envelope of this version. */
export function unseal(text: string): { from: Address; payloads: unknown[] } | undefined {
  if (text.length > PUBLICATION_CHARS_MAX) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const read = envelope.safeParse(value);
  return read.success ? { from: read.data.from, payloads: read.data.m } : undefined;
}

/** What waits to be sent in this turn of the event loop, by channel. */
export class Outgoing {
  private readonly texts = new Map<string, { texts: string[]; chars: number }>();
  private readonly publish: (channel: string, texts: readonly string[]) => void;
  private readonly defer: (run: () => void) => void;

  constructor(args: {
    publish: (channel: string, texts: readonly string[]) => void;
    defer: (run: () => void) => void;
  }) {
    this.publish = args.publish;
    this.defer = args.defer;
  }

  /** @returns false when the message is too large to be sent at all. */
  add(channel: string, payload: BusPayload): boolean {
    const text = JSON.stringify(payload);
    if (text.length > PUBLICATION_CHARS_MAX - 1_000) return false;
    if (this.texts.size === 0) this.defer(() => this.flush());
    const batch = this.texts.get(channel) ?? { texts: [], chars: 0 };
    this.texts.set(channel, batch);
    if (batch.texts.length > 0 && batch.chars + text.length > PUBLICATION_CHARS_WANTED) {
      this.publish(channel, batch.texts.splice(0));
      batch.chars = 0;
    }
    batch.texts.push(text);
    batch.chars += text.length;
    return true;
  }

  private flush(): void {
    const batches = [...this.texts];
    this.texts.clear();
    for (const [channel, { texts }] of batches) if (texts.length > 0) this.publish(channel, texts);
  }
}
