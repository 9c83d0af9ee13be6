import { expect, test } from 'vitest';
import { defaultDataDirectory } from './default-data-directory.ts';

const closed = (): boolean => false;
const open = (): boolean => true;

test('the data lies in the folder that the server is started from', () => {
  expect(defaultDataDirectory('/home/ann/baton', false, closed)).toBe('/home/ann/baton/.baton');
  expect(defaultDataDirectory('/srv/baton', true, open)).toBe('/srv/baton/.baton');
});

test('under root, a folder that others may not enter gets a place of its own elsewhere', () => {
  const place = defaultDataDirectory('/root/baton', true, closed);
  expect(place).toMatch(/^\/var\/lib\/baton\/baton-[0-9a-f]{8}$/);
  expect(defaultDataDirectory('/root/baton', true, closed)).toBe(place);
  expect(defaultDataDirectory('/root/other/baton', true, closed)).not.toBe(place);
});
