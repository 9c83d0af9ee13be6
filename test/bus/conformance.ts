import { expect, test, vi } from 'vitest';
import type { Bus } from '../../engine/bus/bus.ts';

/** Something that makes buses of one cluster, and can take them all away. */
export interface BusBench {
  bus(cluster?: string): { bus: Bus; errors: unknown[] };
  /** Publishes a text as it is to one bus. */
  publish(to: Bus, text: string): Promise<void>;
  takeAway(): Promise<void>;
  bringBack(): Promise<void>;
}

interface Heard {
  readonly bus: Bus;
  readonly errors: unknown[];
  readonly messages: { payload: unknown; from: string }[];
}

export async function opened(bench: BusBench, cluster?: string): Promise<Heard> {
  const { bus, errors } = bench.bus(cluster);
  const messages: { payload: unknown; from: string }[] = [];
  await bus.open((payload, from) => messages.push({ payload, from }));
  return { bus, errors, messages };
}

/** Sends until one arrives: how long a way back takes is not promised. */
export async function reaches(from: Bus, to: Heard, mark: string): Promise<void> {
  await vi.waitFor(
    () => {
      from.send(to.bus.address, { mark });
      expect(to.messages.some(({ payload }) => JSON.stringify(payload).includes(mark))).toBe(true);
    },
    { timeout: 15_000, interval: 50 },
  );
}

/** What every bus does (see B1 to B5 at the interface). */
export function busConformance(bench: () => BusBench): void {
  test('a message reaches the one it is for, and says who sent it; order is kept', async () => {
    const [a, b, c] = [await opened(bench()), await opened(bench()), await opened(bench())];
    for (let n = 0; n < 100; n++) a.bus.send(b.bus.address, { n, text: 'ü', none: undefined });
    await vi.waitFor(() => expect(b.messages).toHaveLength(100));
    expect(b.messages[7]).toEqual({ payload: { n: 7, text: 'ü' }, from: a.bus.address });
    expect(b.messages.map(({ payload }) => payload)).toEqual(
      Array.from({ length: 100 }, (_, n) => ({ n, text: 'ü' })),
    );
    expect(c.messages).toEqual([]);
    expect(a.bus.counts.sent).toBe(100);
    expect(b.bus.counts.received).toBe(100);
  });

  test('a broadcast reaches everybody else of the cluster, and no other cluster', async () => {
    const [a, b, c] = [await opened(bench()), await opened(bench()), await opened(bench())];
    const stranger = await opened(bench(), 'another');
    a.bus.broadcast({ news: 1 });
    await vi.waitFor(() => expect([b.messages.length, c.messages.length]).toEqual([1, 1]));
    await reaches(b.bus, a, 'after the broadcast');
    expect(a.messages.filter(({ payload }) => JSON.stringify(payload).includes('news'))).toEqual([]);
    expect(stranger.messages).toEqual([]);
  });

  test('what cannot be read is counted and dropped, and what follows arrives', async () => {
    const [a, b] = [await opened(bench()), await opened(bench())];
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"v":2,"from":"x","m":[1]}',
      '{"v":1,"m":[1]}',
      '{"v":1,"from":"x","m":3}',
    ])
      await bench().publish(b.bus, text);
    await vi.waitFor(() => expect(b.bus.counts.malformed).toBe(7));
    expect(b.messages).toEqual([]);
    await reaches(a.bus, b, 'goes on');
  });

  test('a message that is too large is dropped and counted', async () => {
    const [a, b] = [await opened(bench()), await opened(bench())];
    a.bus.send(b.bus.address, { text: 'x'.repeat(17 * 1024 * 1024) });
    expect(a.bus.counts.dropped).toBe(1);
    await reaches(a.bus, b, 'small');
  });

  test('a receiver that throws is reported, and the next message is received', async () => {
    const a = await opened(bench());
    const { bus, errors } = bench().bus();
    const heard: unknown[] = [];
    await bus.open((payload) => {
      heard.push(payload);
      throw new Error('broken receiver');
    });
    a.bus.send(bus.address, { n: 1 });
    a.bus.send(bus.address, { n: 2 });
    await vi.waitFor(() => expect(heard).toEqual([{ n: 1 }, { n: 2 }]));
    expect(errors.map(String)).toEqual(['Error: broken receiver', 'Error: broken receiver']);
  });

  test('while it is away messages are dropped and counted; it comes back by itself and says so', async () => {
    const [a, b] = [await opened(bench()), await opened(bench())];
    await reaches(a.bus, b, 'before');
    let ups = 0;
    const stop = a.bus.onUp(() => {
      ups += 1;
    });
    await bench().takeAway();
    await vi.waitFor(() => expect([a.bus.isUp, b.bus.isUp]).toEqual([false, false]), { timeout: 15_000 });
    const dropped = a.bus.counts.dropped;
    a.bus.send(b.bus.address, { lost: true });
    expect(a.bus.counts.dropped).toBe(dropped + 1);
    await bench().bringBack();
    await vi.waitFor(() => expect([a.bus.isUp, b.bus.isUp, ups]).toEqual([true, true, 1]), {
      timeout: 15_000,
    });
    await reaches(a.bus, b, 'to one');
    await reaches(b.bus, a, 'and back');
    const before = b.messages.length;
    a.bus.broadcast({ all: 1 });
    await vi.waitFor(() => expect(b.messages.length).toBe(before + 1));
    expect(b.messages.filter(({ payload }) => JSON.stringify(payload).includes('lost'))).toEqual([]);
    stop();
  }, 40_000);

  test('after close nothing arrives; closing again is nothing', async () => {
    const [a, b] = [await opened(bench()), await opened(bench())];
    await b.bus.close();
    await b.bus.close();
    expect(b.bus.isUp).toBe(false);
    a.bus.send(b.bus.address, { late: true });
    const c = await opened(bench());
    await reaches(a.bus, c, 'to another');
    expect(b.messages).toEqual([]);
  });
}
