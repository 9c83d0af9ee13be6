import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Json } from './settings.ts';
import { isStorableText, storableJson, storableText } from './storable-json.ts';

const LIMITS = { bytesMax: 1_000, depthMax: 3 };

function problemOf(value: Json): string | undefined {
  const checked = storableJson(value, LIMITS);
  return 'problem' in checked ? checked.problem : undefined;
}

test.each([
  ['NUL', 'a\u0000b'],
  ['NUL in a key', { 'a\u0000': 1 }],
  ['NUL after a backslash', '\\\u0000'],
  ['NUL after two backslashes', ['\\\\\u0000']],
  ['a lone high surrogate', '\ud83d'],
  ['a lone low surrogate in a key', { '\ude00': 1 }],
  ['a pair the wrong way round', '\ude00\ud83d'],
] as const satisfies readonly (readonly [string, Json])[])('%s cannot be kept', (_what, value) => {
  expect(problemOf(value as Json)).toMatch(/NUL/);
});

test.each(['\\u0000', '\\\\u0000', '\\ud800', '😀', '\u0001\u001f\u007f', '"\\"'])(
  'the text %j only looks like it, and is kept',
  (text) => {
    expect(storableJson({ [text]: text }, LIMITS)).toEqual({ text: JSON.stringify({ [text]: text }) });
  },
);

test('too deep and too large are refused at the limit, in bytes rather than characters', () => {
  expect(problemOf([[[1]]])).toBeUndefined();
  expect(problemOf([[[[]]]])).toMatch(/deeper than 3/);
  expect(problemOf('x'.repeat(998))).toBeUndefined();
  expect(problemOf('x'.repeat(999))).toMatch(/larger than 1000/);
  expect(problemOf('ü'.repeat(499))).toBeUndefined();
  expect(problemOf('ü'.repeat(500))).toMatch(/larger/);
});

test('exactly the texts with a NUL or half a pair are refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) }), (text) => {
      const isSound = !text.includes('\u0000') && Buffer.from(text).toString() === text;
      expect(problemOf(text) === undefined || Buffer.byteLength(JSON.stringify(text)) > 1_000).toBe(isSound);
      expect(isStorableText(text)).toBe(isSound);
      expect(isStorableText(storableText(text))).toBe(true);
      if (isSound) expect(storableText(text)).toBe(text);
    }),
  );
});
