import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe } from 'vitest';
import type { LocalBus } from '../../engine/bus/local-bus.ts';
import { LocalHub } from '../../engine/bus/local-bus.ts';
import { type BusBench, busConformance } from './conformance.ts';

let bench: BusBench;
let opened: LocalBus[] = [];

beforeEach(() => {
  const hubs = new Map<string, LocalHub>();
  const hub = (name: string) => {
    const known = hubs.get(name) ?? new LocalHub();
    hubs.set(name, known);
    return known;
  };
  bench = {
    bus(cluster = 'one') {
      const errors: unknown[] = [];
      const bus = hub(cluster).join(randomUUID(), setImmediate, (error) => errors.push(error));
      opened.push(bus);
      return { bus, errors };
    },
    async publish(to, text) {
      hub('one').publish(to.address, text, 'somebody');
    },
    async takeAway() {
      hub('one').cut();
    },
    async bringBack() {
      hub('one').mend();
    },
  };
});

afterEach(async () => {
  for (const bus of opened) await bus.close();
  opened = [];
});

describe('in one process', () => busConformance(() => bench));
