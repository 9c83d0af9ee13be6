import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Deadlines, type Timed } from './deadlines.ts';

interface Item extends Timed {
  readonly name: number;
}

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), name: fc.nat(12), dueMs: fc.nat(30) }),
    fc.record({ kind: fc.constant('remove' as const), name: fc.nat(12) }),
    fc.record({ kind: fc.constant('pop' as const) }),
  ),
  { maxLength: 200 },
);

test('the next one is always one with the smallest due time, whatever was set, moved and removed', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const heap = new Deadlines<Item>();
      const items = Array.from({ length: 13 }, (_, name): Item => ({ name, dueMs: 0, heapIndex: -1 }));
      const model = new Map<Item, number>();
      for (const step of script) {
        const item = step.kind === 'pop' ? heap.peek() : items[step.name];
        if (!item) continue;
        if (step.kind === 'set') {
          heap.set(item, step.dueMs);
          model.set(item, step.dueMs);
        } else {
          heap.remove(item);
          model.delete(item);
        }
        expect(heap.size).toBe(model.size);
        const next = heap.peek();
        if (model.size === 0) expect(next).toBeUndefined();
        else expect(next?.dueMs).toBe(Math.min(...model.values()));
        if (next) expect(model.get(next)).toBe(next.dueMs);
        for (const other of items) expect(other.heapIndex >= 0).toBe(model.has(other));
      }
    }),
    { numRuns: 300 },
  );
});
