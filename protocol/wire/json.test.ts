import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inspectJson } from './json.ts';

const ROOMY = 10_000_000;

describe('inspectJson', () => {
  test('measures what JSON.stringify writes, in UTF-8', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }), (value) => {
        // Through JSON once, as a message comes: -0 becomes 0, and __proto__ an own key.
        const parsed: unknown = JSON.parse(JSON.stringify(value));
        const json = JSON.stringify(parsed);
        const inspection = inspectJson(parsed, ROOMY);
        if (/\\u0000|\\ud[89a-f]/.test(json) || json.includes('"__proto__":')) return;
        expect(inspection).toEqual({ ok: true, bytes: Buffer.byteLength(json) });
      }),
      { numRuns: 500 },
    );
  });

  test('takes exactly the limit and not one byte more', () => {
    expect(inspectJson(['ä', 1], 8)).toEqual({ ok: true, bytes: 8 });
    expect(inspectJson(['ä', 1], 7)).toMatchObject({ ok: false, problem: { code: 'too_large' } });
  });

  test.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['an infinite number', Number.POSITIVE_INFINITY],
    ['a date', new Date(0)],
    ['bytes', new Uint8Array(2)],
    ['a map', new Map()],
    ['U+0000', 'a\u0000'],
    ['U+0000 in a key', { 'a\u0000': 1 }],
    ['a high surrogate alone', '\ud83d'],
    ['a low surrogate alone', '\ude00'],
    ['surrogates the wrong way round', '\ude00\ud83d'],
    ['a __proto__ key', JSON.parse('{"__proto__":1}')],
  ])('refuses %s', (_what, value) => {
    expect(inspectJson([value], ROOMY)).toMatchObject({ ok: false, problem: { code: 'malformed' } });
  });

  test('takes a surrogate pair', () => {
    expect(inspectJson('😀', ROOMY)).toEqual({ ok: true, bytes: 6 });
  });

  test('refuses what nests too deep without a stack of its own', () => {
    let value: unknown = 1;
    for (let i = 0; i < 100_000; i++) value = [value];
    expect(inspectJson(value, ROOMY)).toMatchObject({ ok: false, problem: { code: 'malformed' } });
    expect(inspectJson([[1]], ROOMY, 2)).toMatchObject({ ok: true });
    expect(inspectJson([[[1]]], ROOMY, 2)).toMatchObject({ ok: false });
  });
});
