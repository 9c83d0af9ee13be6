import { expect, test } from 'vitest';
import { inventedAnswers, recordedAnswers } from './answers.ts';
import { randomStream } from './random.ts';

const JUDGMENTS = new Map([
  ['11', { value: 'yes', thinkMs: 900 }],
  ['12', { value: 'no', thinkMs: undefined }],
]);
const SCHEMA = {
  type: 'object',
  required: ['label'],
  properties: { label: { enum: ['yes', 'no', 'maybe'] } },
};

test('a worker of a recording says what they said, skips the rest, and goes when all is said', () => {
  const answers = recordedAnswers({ judgments: JUDGMENTS, schema: SCHEMA, otherwise: undefined });
  expect(answers.answerTo({ taskId: '11' })).toEqual({ result: { label: 'yes' }, thinkMs: 900 });
  expect(answers.answerTo({ taskId: '13' })).toBeUndefined();
  expect(answers.isLast()).toBe(false);
  answers.given('11');
  answers.given('11');
  expect(answers.isLast()).toBe(true);
});

test('or makes something up for what they never judged, and goes on', () => {
  const otherwise = inventedAnswers(SCHEMA, randomStream(1, 0));
  const answers = recordedAnswers({ judgments: JUDGMENTS, schema: SCHEMA, otherwise });
  expect(answers.answerTo({ taskId: '13' })?.result).toHaveProperty('label');
  answers.given('11');
  answers.given('12');
  expect(answers.isLast()).toBe(false);
});
