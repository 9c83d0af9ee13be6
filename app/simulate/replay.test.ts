import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readRecording, recordingOf } from './replay.ts';

const LINES = `{"task":"t1","worker":"ann","value":"yes","started_at":"2018-08-15T09:36:50Z","submitted_at":"2018-08-15T09:37:12Z"}
{"task":"t2","worker":"ann","value":"no","started_at":"2018-08-15T09:36:43Z","submitted_at":"2018-08-15T09:36:50Z"}

{"task":"t1","worker":"bob","value":{"errors":[]},"seconds":4.5}
{"task":"t1","worker":"bob","value":"a second answer"}
`;

test('judgments are found by worker and task, with the time they took', () => {
  const recording = recordingOf(LINES);
  expect(recording.workers).toEqual(['ann', 'bob']);
  expect(recording.size).toBe(3);
  expect(recording.judgment('ann', 't1')).toEqual({ value: 'yes', thinkMs: 22_000 });
  expect(recording.judgment('bob', 't1')).toEqual({ value: { errors: [] }, thinkMs: 4_500 });
  expect(recording.judgment('bob', 't2')).toBeUndefined();
  expect(recording.judgment('eve', 't1')).toBeUndefined();
  expect([...recording.judgmentsOf('ann').keys()]).toEqual(['t1', 't2']);
  expect([recording.knows('t2'), recording.knows('t3')]).toEqual([true, false]);
});

test('people arrive when they did, counted from the first moment recorded', () => {
  const recording = recordingOf(LINES);
  expect(recording.arrivalMs('ann')).toBe(0);
  expect(recording.arrivalMs('bob')).toBeUndefined();
});

test('a line that is no judgment is named', () => {
  expect(() => recordingOf('{"task":"t1","worker":"ann","value":1}\n{"task":"t1"}')).toThrow(
    /^line 2 is no judgment: worker/,
  );
  expect(() => recordingOf('{"task":')).toThrow('line 1 is not JSON');
});

test('a file is read line by line; one that is not there is wrong usage', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'recording-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'annotations.jsonl');
  writeFileSync(file, LINES);
  expect((await readRecording(file)).size).toBe(3);
  writeFileSync(file, `${LINES}[]\n`);
  await expect(readRecording(file)).rejects.toThrow(`${file}, line 6 is no judgment`);
  await expect(readRecording(join(folder, 'none'))).rejects.toMatchObject({ name: 'UsageError' });
});
