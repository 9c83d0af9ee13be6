import { expect, test } from 'vitest';
import { Lobby } from './lobby.ts';

test('has room per address and in all, and gives it back once', () => {
  const lobby = new Lobby({ max: 3, maxPerAddress: 2 });
  const [a, b, c] = [{}, {}, {}];
  lobby.enter(a, '10.0.0.1');
  lobby.enter(a, '10.0.0.1');
  expect(lobby.hasRoomFor('10.0.0.1')).toBe(true);
  lobby.enter(b, '10.0.0.1');
  expect(lobby.hasRoomFor('10.0.0.1')).toBe(false);
  expect(lobby.hasRoomFor('10.0.0.2')).toBe(true);
  lobby.enter(c, '10.0.0.2');
  expect(lobby.hasRoomFor('10.0.0.2')).toBe(false);
  lobby.leave(a);
  lobby.leave(a);
  expect(lobby.hasRoomFor('10.0.0.1')).toBe(true);
  expect(lobby.hasRoomFor('10.0.0.2')).toBe(true);
});
