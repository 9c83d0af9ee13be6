import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LocalHub } from '../../engine/bus/local-bus.ts';
import type { NodeRole } from '../../engine/store/store.ts';
import { type Node, World } from './harness.ts';

let world: World;
let hub: LocalHub;

beforeEach(async () => {
  world = await World.create();
  hub = new LocalHub();
});
afterEach(async () => {
  expect(await world.close()).toEqual([]);
});

function node(role: NodeRole, address: string): Promise<Node> {
  const bus = hub.join(
    address,
    (run) => void setImmediate(run),
    (error) => {
      throw error;
    },
  );
  return world.engine({ roles: [role], bus });
}

test('a gateway that was taken for dead and is not: its people lose nothing, though their next beat comes late (I8)', async () => {
  const project = await world.project({ heartbeatMs: 45_000, reconnectGraceMs: 15_000 });
  await world.tasks(project, [{}]);
  const engine = await node('engine', 'engine-1');
  const gateway = await node('gateway', 'gateway-1');
  const person = await gateway.arrive();
  const view = await person.take(project);
  await world.age(gateway);
  await engine.clock.advance(1_000);
  expect(engine.engine.status()).toMatchObject({ nodes: 1, leases: 1 });
  // It joins anew, and says who is there.
  await gateway.clock.advance(6_000);
  await vi.waitFor(async () => {
    await engine.clock.advance(1_000);
    expect(engine.engine.status().nodes).toBe(2);
  });
  await engine.clock.advance(20_000);
  expect(await person.beat(view)).toEqual({ alive: 1, ended: 0 });
});

test('a gateway that is killed brings the end of no lease nearer: it ends when no beat has come for the whole time', async () => {
  const project = await world.project({ heartbeatMs: 45_000, reconnectGraceMs: 5_000 });
  await world.tasks(project, [{}]);
  const engine = await node('engine', 'engine-1');
  const gateway = await node('gateway', 'gateway-1');
  await (await gateway.arrive()).take(project);
  await gateway.crash();
  await engine.clock.advance(44_000);
  expect(engine.engine.status()).toMatchObject({ nodes: 1, leases: 1 });
  await engine.clock.advance(2_000);
  expect(engine.engine.status().leases).toBe(0);
});

test('a gateway that is gone had no shards: those who wait elsewhere are not asked for again', async () => {
  const project = await world.project();
  await node('engine', 'engine-1');
  const [gateway, other] = [await node('gateway', 'gateway-1'), await node('gateway', 'gateway-2')];
  const person = await gateway.arrive();
  expect(await person.tryRequest([project])).toMatchObject({ ok: true });
  const sent = vi.spyOn(hub, 'publish');
  await world.age(other);
  await gateway.clock.advance(1_000);
  expect(gateway.engine.status().nodes).toBe(2);
  await world.quiet();
  expect(sent.mock.calls.filter(([, text]) => text.includes('"method":"request"'))).toEqual([]);
});
