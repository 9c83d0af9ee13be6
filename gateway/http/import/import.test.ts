import { expect, test } from 'vitest';
import type { ImportRow } from '../../../engine/admin/index.ts';
import { readCsv } from './csv.ts';
import { readJsonArray } from './json-array.ts';
import { readNdjson } from './ndjson.ts';

async function* piecesOf(text: string | Buffer, size: number): AsyncGenerator<Buffer> {
  const whole = Buffer.from(text);
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
}

async function read(
  reader: (source: AsyncIterable<Buffer>) => AsyncIterable<readonly ImportRow[]>,
  text: string | Buffer,
  size = 7,
): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const batch of reader(piecesOf(text, size))) {
    for (const row of batch) {
      if (row.kind === 'task') rows.push([row.line, row.task.data, row.task.externalId]);
      else rows.push([row.line, row.kind === 'broken' ? 'broken' : row.code, row.message]);
    }
  }
  return rows;
}

const csv = (source: AsyncIterable<Buffer>) => readCsv(source, ',');

test('NDJSON: a broken line is reported with its number and the rest goes on', async () => {
  const text = '\ufeff{"data":{"a":1}}\n\n{"data":\r\n  {"text":"é","id":7}\r\nnull\n{"data":1}';
  expect(await read(readNdjson, text, 3)).toEqual([
    [1, { a: 1 }, undefined],
    [3, 'malformed', 'This is not JSON.'],
    [4, { text: 'é', id: 7 }, '7'],
    [5, 'malformed', 'A task must be an object.'],
    [6, 1, undefined],
  ]);
});

test('NDJSON: what Postgres cannot store, what is too large, and what is not text are rejected alone', async () => {
  const large = `{"data":"${'x'.repeat(1024 * 1024)}"}`;
  const text = Buffer.concat([
    Buffer.from(`{"data":"a\\u0000b"}\n${large}\n{"data":"\\ud800"}\n`),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from(`{"data":{"__proto__":1}}\n{"data":${'['.repeat(70)}${']'.repeat(70)}}\n{"data":true}\n`),
  ]);
  const rows = await read(readNdjson, text, 65_536);
  expect(rows.map((row) => (Array.isArray(row) ? row.slice(0, 2) : row))).toEqual([
    [1, 'malformed'],
    [2, 'too_large'],
    [3, 'malformed'],
    [4, 'malformed'],
    [5, 'malformed'],
    [6, 'malformed'],
    [7, true],
  ]);
});

test('the keys of a task are checked by name, and a bare object is its own data', async () => {
  const text = [
    '{"data":{},"externalId":"a","priority":5,"overlap":2,"requirements":[{"skill":"fr","op":">=","value":3}]}',
    '{"data":{},"prioritty":5}',
    '{"data":{},"priority":99999}',
    '{"data":{},"requirements":[{"skill":"fr"}]}',
    '{"data":{},"external_id":17}',
    '{"question":"?","external_id":"q1","priority":2,"id":3}',
    '{"question":"?","priority":"high"}',
    '{}',
  ].join('\n');
  const rows = await read(readNdjson, text);
  expect(rows).toMatchObject([
    [1, {}, 'a'],
    [2, 'malformed', expect.stringContaining('prioritty')],
    [3, 'malformed', expect.stringContaining('priority')],
    [4, 'malformed', expect.stringContaining('requirements.0')],
    [5, {}, '17'],
    [6, { question: '?', id: 3 }, 'q1'],
    [7, 'malformed', expect.stringContaining('priority')],
    [8, {}, undefined],
  ]);
});

test.each([1, 2, 5, 1000])('JSON array: elements are cut apart in pieces of %i bytes', async (size) => {
  const text = ' [ {"data":"a,]}\\"[{"} ,{"data":[1,[2,{"b":"]"}]]}, {"data":}, 7 ,{"data":"é\\\\"}]\n ';
  expect(await read(readJsonArray, text, size)).toEqual([
    [1, 'a,]}"[{', undefined],
    [2, [1, [2, { b: ']' }]], undefined],
    [3, 'malformed', 'This is not JSON.'],
    [4, 'malformed', 'A task must be an object.'],
    [5, 'é\\', undefined],
  ]);
});

test('JSON array: an empty one holds nothing', async () => {
  expect(await read(readJsonArray, '[ \n]')).toEqual([]);
});

test.each([
  ['', 1, 'The body is empty.'],
  ['{"data":1}', 1, 'The body must be an array.'],
  ['[{"data":1}', 1, 'The array is not closed.'],
  ['[] []', 1, 'Something follows the array.'],
])('JSON array: %j is broken', async (text, line, message) => {
  expect((await read(readJsonArray, text)).at(-1)).toEqual([line, 'broken', message]);
});

test('JSON array: an element that is too large is rejected without being kept', async () => {
  const text = `[{"data":1},{"data":"${'x'.repeat(1_100_000)}"},{"data":2}]`;
  const rows = await read(readJsonArray, text, 65_536);
  expect(rows).toEqual([
    [1, 1, undefined],
    [2, 'too_large', 'It is larger than 1048576 bytes.'],
    [3, 2, undefined],
  ]);
});

test('CSV: every column but the reserved ones is data, as text', async () => {
  const text = '\ufeffexternalId,text,priority,note\r\na,"one, ""two""\nthree",5,\r\n\r\n,plain,,x\r\n';
  expect(await read(csv, text)).toEqual([
    [2, { text: 'one, "two"\nthree', note: '' }, 'a'],
    [5, { text: 'plain', note: 'x' }, undefined],
  ]);
});

test('CSV: a broken record in the middle costs its own line and no other', async () => {
  const text = [
    'id,text',
    '1,ok',
    '2,"never closed',
    '3,fine',
    '4,"quoted ""x"""',
    '5,too,many',
    '6',
    '7,"multi',
    'line"',
    '8,a"b',
    '9,"abc"def',
    '10,"open to the end',
    '11,end',
  ].join('\n');
  const rows = await read(csv, text);
  expect(rows.map((row) => (Array.isArray(row) ? [row[0], row[1]] : row))).toEqual([
    [2, { id: '1', text: 'ok' }],
    [3, 'malformed'],
    [4, { id: '3', text: 'fine' }],
    [5, { id: '4', text: 'quoted "x"' }],
    [6, 'malformed'],
    [7, 'malformed'],
    [8, { id: '7', text: 'multi\nline' }],
    [10, 'malformed'],
    [11, 'malformed'],
    [12, 'malformed'],
    [13, { id: '11', text: 'end' }],
  ]);
});

test.each([
  ['', 'The file is empty: it must have a header.'],
  ['a,b,a\n1,2,3\n', 'The header names a column twice.'],
  ['a,"b\n1,2\n', 'The header cannot be read: a quote is never closed.'],
])('CSV: %j is broken', async (text, message) => {
  expect(await read(csv, text)).toEqual([[1, 'broken', message]]);
});

test('CSV: a file of nothing but open quotes is read in time linear to its size', async () => {
  const text = `a,b\n${`1,"x\n${'1,2\n'.repeat(5)}`.repeat(50_000)}`;
  const rows = await read(csv, text, 65_536);
  expect(rows).toHaveLength(300_000);
});
