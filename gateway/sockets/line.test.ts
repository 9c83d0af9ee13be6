import { beforeEach, expect, test } from 'vitest';
import { Line, type LineLimits } from './line.ts';
import { Lobby } from './lobby.ts';

/** What became of whom, in order: `in`, `gone`, or after how many ms they are to come back. */
let told: [string, 'in' | 'dropped' | number][];
let nowMs: number;
let deferred: (() => void)[];

beforeEach(() => {
  told = [];
  nowMs = 0;
  deferred = [];
});

const LIMITS: LineLimits = { max: 100, maxPerAddress: 100, perTurn: 10, waitMsMax: 1_000, expectedMs: 10 };

function lineBefore(lobby: Lobby, limits: Partial<LineLimits> = {}): Line {
  return new Line({
    lobby,
    limits: { ...LIMITS, ...limits },
    nowMs: () => nowMs,
    random: () => 0.5,
    defer: (run) => deferred.push(run),
  });
}

function join(line: Line, name: string, address = 'here', more: { isGone?: () => boolean } = {}): object {
  const connection = { name };
  line.join({
    address,
    connection,
    isGone: () => false,
    letIn: () => told.push([name, 'in']),
    turnAway: (retryAfterMs) => told.push([name, retryAfterMs]),
    drop: () => told.push([name, 'dropped']),
    ...more,
  });
  return connection;
}

/** One turn of the event loop. */
function turn(): void {
  for (const run of deferred.splice(0)) run();
}

function turns(): void {
  while (deferred.length > 0) turn();
}

const names = () => told.map(([name]) => name);

test('so many are let in per turn, in the order in which they came', () => {
  const line = lineBefore(new Lobby({ max: 100, maxPerAddress: 100 }), { perTurn: 2 });
  for (const name of ['a', 'b', 'c', 'd', 'e']) join(line, name);
  expect(told).toEqual([]);
  turn();
  expect(names()).toEqual(['a', 'b']);
  turns();
  expect(names()).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(line.size).toBe(0);
});

test('who finds the lobby full waits until somebody has left it', () => {
  const lobby = new Lobby({ max: 2, maxPerAddress: 2 });
  const line = lineBefore(lobby);
  const [a] = [join(line, 'a'), join(line, 'b'), join(line, 'c'), join(line, 'd')];
  turns();
  expect(names()).toEqual(['a', 'b']);
  lobby.leave(a);
  line.advance();
  turns();
  expect(names()).toEqual(['a', 'b', 'c']);
});

test('an address that has used its room, or that sends many, does not keep the others out', () => {
  const lobby = new Lobby({ max: 100, maxPerAddress: 3 });
  const line = lineBefore(lobby, { perTurn: 4 });
  for (let i = 0; i < 50; i += 1) join(line, `many-${i}`, '10.0.0.1');
  join(line, 'one', '10.0.0.2');
  join(line, 'other', '10.0.0.3');
  turn();
  expect(names()).toEqual(['many-0', 'one', 'other', 'many-1']);
  turns();
  expect(told.length).toBe(5);
});

test('over the limits of the line they are told when to come back: when those in line are served, spread', () => {
  const line = lineBefore(new Lobby({ max: 1, maxPerAddress: 1 }), { max: 10, maxPerAddress: 5 });
  for (let i = 0; i < 7; i += 1) join(line, `${i}`);
  turn();
  // Five in line at 10 ms each, and one more, and half as much again by chance. One of them was let in.
  expect(told).toEqual([
    ['0', 'in'],
    ['5', expect.closeTo(70, -1)],
    ['6', expect.closeTo(70, -1)],
  ]);
  for (let i = 0; i < 7; i += 1) join(line, `there-${i}`, 'there');
  turns();
  expect(told.filter(([, what]) => typeof what === 'number').length).toBe(4);
});

test('the time to come back grows with what waits and with how slowly it is served', () => {
  const after = (waiting: number, msEach: number): number => {
    told = [];
    const lobby = new Lobby({ max: 1, maxPerAddress: 1 });
    const line = lineBefore(lobby, { max: waiting, maxPerAddress: waiting, waitMsMax: 1_000_000 });
    const inside = Array.from({ length: waiting }, (_, i) => join(line, `${i}`));
    for (let i = 0; i < 20; i += 1) {
      turns();
      nowMs += msEach;
      lobby.leave(inside[i] ?? {});
      line.advance();
      turns();
      inside.push(join(line, 'another'));
    }
    // One of them still fits.
    for (let i = 0; i < 2; i += 1) join(line, 'late');
    turns();
    return Number(told.find(([name]) => name === 'late')?.[1]);
  };
  expect(after(100, 10)).toBeGreaterThan(1.8 * after(50, 10));
  expect(after(100, 100)).toBeGreaterThan(4 * after(100, 10));
});

test('nobody waits longer than the longest wait: then they are told to come back', () => {
  const line = lineBefore(new Lobby({ max: 1, maxPerAddress: 1 }));
  join(line, 'a');
  turns();
  join(line, 'b');
  nowMs = 600;
  join(line, 'c');
  nowMs = 1_000;
  line.expire();
  turns();
  expect(told).toEqual([
    ['a', 'in'],
    ['b', expect.any(Number)],
  ]);
  expect(line.size).toBe(1);
});

test('who did not wait costs nothing, and who waits when the process stops is sent away', () => {
  const lobby = new Lobby({ max: 1, maxPerAddress: 1 });
  const line = lineBefore(lobby);
  join(line, 'gone', 'here', { isGone: () => true });
  join(line, 'a');
  turns();
  join(line, 'b');
  line.close();
  turns();
  expect(told).toEqual([
    ['a', 'in'],
    ['b', 'dropped'],
  ]);
});
