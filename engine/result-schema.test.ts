import { expect, test } from 'vitest';
import { checkResultSchema, compileResultSchema, UnusableResultSchema } from './result-schema.ts';
import type { JsonObject } from './settings.ts';

test('a result that fits has no errors', () => {
  const { validate } = compileResultSchema({ type: 'object', properties: { label: { enum: ['a', 'b'] } } });
  expect(validate({ label: 'a' })).toEqual([]);
});

test('a result that does not fit is told every path, and never quoted', () => {
  const { validate } = compileResultSchema({
    type: 'object',
    properties: { label: { enum: ['a', 'b'] }, when: { type: 'string', format: 'date-time' } },
    required: ['note'],
    additionalProperties: false,
  });
  const errors = validate({ label: 'SECRET', when: 'SECRET', 'ex/tra': 1 });
  expect(errors.map((error) => error.path).sort()).toEqual(['', '/ex~1tra', '/label', '/when']);
  expect(JSON.stringify(errors)).not.toContain('SECRET');
});

test('the list of errors is bounded', () => {
  const { validate } = compileResultSchema({ type: 'array', items: { type: 'string' } });
  expect(validate(Array.from({ length: 500 }, (_, i) => i))).toHaveLength(20);
});

test('inherited names are not properties', () => {
  const { validate } = compileResultSchema({ type: 'object', required: ['constructor'] });
  expect(validate({})).toHaveLength(1);
});

test.each<[string, JsonObject]>([
  ['an unknown type', { type: 'strange' }],
  ['a broken pattern', { type: 'string', pattern: '(' }],
  ['a reference to elsewhere', { $ref: 'https://example.org/schema.json' }],
  ['a reference to nothing', { $ref: '#/$defs/none' }],
  ['an asynchronous schema', { $async: true, type: 'object' }],
  ['another dialect', { $schema: 'http://json-schema.org/draft-04/schema#', type: 'object' }],
  ['a schema that is too large', { description: 'x'.repeat(300_000) }],
])('%s is refused with its path', (_, schema) => {
  expect(() => compileResultSchema(schema)).toThrow(UnusableResultSchema);
  expect(checkResultSchema(schema)).toMatchObject({
    ok: false,
    code: 'invalid',
    details: [{ path: 'settings.resultSchema' }],
  });
});
