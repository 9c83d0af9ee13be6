import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { randomStream } from './random.ts';
import { inventResult, shapeResult } from './results.ts';

const CHOICE = {
  type: 'object',
  required: ['choice'],
  properties: { choice: { enum: ['1', '2', 'tie'] }, comment: { type: 'string', maxLength: 20 } },
  additionalProperties: false,
};

const SCHEMAS = {
  choice: CHOICE,
  boolean: { type: 'boolean' },
  enumeration: { enum: ['a', 2, null] },
  constant: { const: { fixed: true } },
  rating: { type: 'integer', minimum: 1, maximum: 5 },
  open: { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
  step: { type: 'number', minimum: 0.3, maximum: 2, multipleOf: 0.5 },
  text: { type: 'string', minLength: 30, maxLength: 40 },
  nullable: { type: ['string', 'null'] },
  list: {
    type: 'array',
    minItems: 2,
    items: { $ref: '#/$defs/span' },
    $defs: {
      span: { type: 'object', required: ['start'], properties: { start: { type: 'integer', minimum: 0 } } },
    },
  },
  either: {
    oneOf: [{ type: 'object', required: ['yes'], properties: { yes: { const: true } } }, { type: 'integer' }],
  },
  tree: {
    $ref: '#/$defs/node',
    $defs: {
      node: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string' },
          children: { type: 'array', maxItems: 1, items: { $ref: '#/$defs/node' } },
        },
      },
    },
  },
};

test.each(Object.entries(SCHEMAS))('results made up for %s fit the schema', (_, schema) => {
  const validate = new Ajv2020({ strict: false }).compile(schema);
  const random = randomStream(5, 0);
  for (let i = 0; i < 100; i++) {
    const result = inventResult(schema, random);
    expect(validate(result), JSON.stringify(result)).toBe(true);
  }
});

test('without a schema any answer will do, and a seed decides which', () => {
  expect(inventResult(null, randomStream(1, 0))).toEqual(inventResult(null, randomStream(1, 0)));
});

test.each([
  ['as it is where anything goes', 'yes', null, 'yes'],
  ['as it is where the schema takes it', 'yes', { enum: ['yes', 'no'] }, 'yes'],
  ['as the property that takes it', 'tie', CHOICE, { choice: 'tie' }],
  ['as a number', '4', { type: 'integer' }, 4],
  ['as a number inside', '4', { type: 'object', properties: { label: { type: 'integer' } } }, { label: 4 }],
  ['as the object it is', { errors: [] }, CHOICE, { errors: [] }],
  ['as a list inside', [], { type: 'object', properties: { spans: { type: 'array' } } }, { spans: [] }],
])('a recorded value goes in %s', (_, value, schema, expected) => {
  expect(shapeResult(value, schema)).toEqual(expected);
});
