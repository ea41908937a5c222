import { mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeApiKey } from '../../src/http/api-keys.js';
import { ApiKeysFile } from '../../src/http/api-keys-file.js';
import { createLog } from '../../src/log.js';
import { ManualClock } from '../inference/manual-clock.js';

const [OLD, NEW] = [makeApiKey({ client: 'lab' }), makeApiKey({ client: 'lab' })];

let folder: string;
let path: string;
let logLines: Record<string, unknown>[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'earshot-keys-'));
  path = join(folder, 'keys.jsonl');
  logLines = [];
  writeFileSync(path, OLD.line);
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(nowMs = () => 0): Promise<ApiKeysFile> {
  const destination = { write: (line: string) => logLines.push(JSON.parse(line)) };
  return ApiKeysFile.open(path, { log: createLog({ level: 'info', destination }), nowMs });
}

const isKnown = (keys: ApiKeysFile, { key }: { key: string }) => keys.clientOf(key) !== undefined;

test('a changed file counts within a second, without being asked for', async () => {
  const keys = await open();
  const clock = new ManualClock();
  const stop = keys.watch(clock);
  expect([isKnown(keys, OLD), isKnown(keys, NEW)]).toEqual([true, false]);
  for (const next of [NEW, OLD]) {
    writeFileSync(path, next.line);
    expect(clock.pendingMs).toEqual([500]);
    clock.advance(500);
    await expect.poll(() => isKnown(keys, next)).toBe(true);
    expect(isKnown(keys, next === OLD ? NEW : OLD)).toBe(false);
    await expect.poll(() => clock.pendingMs.length).toBe(1);
  }
  stop();
  expect(clock.pendingMs).toEqual([]);
});

test('no watching, no change: it is the watch that brings it', async () => {
  const keys = await open();
  writeFileSync(path, NEW.line);
  expect([isKnown(keys, OLD), isKnown(keys, NEW)]).toEqual([true, false]);
});

test('stopped while it reads, it does not begin again', async () => {
  const keys = await open();
  const clock = new ManualClock();
  const stop = keys.watch(clock);
  clock.advance(500);
  stop();
  await keys.refresh();
  expect(clock.pendingMs).toEqual([]);
});

test('a change that leaves size and time as they were is seen too', async () => {
  const keys = await open();
  const time = new Date(0);
  utimesSync(path, time, time);
  writeFileSync(path, NEW.line);
  utimesSync(path, time, time);
  expect(NEW.line).toHaveLength(OLD.line.length);
  await keys.refresh();
  expect([isKnown(keys, OLD), isKnown(keys, NEW)]).toEqual([false, true]);
});

test('a link that is turned to another file, as mounted secrets are', async () => {
  const [one, other] = ['one', 'other'].map((name) => join(folder, name));
  writeFileSync(one!, OLD.line);
  writeFileSync(other!, NEW.line);
  rmSync(path);
  symlinkSync(one!, path);
  const keys = await open();
  symlinkSync(other!, `${path}.new`);
  renameSync(`${path}.new`, path);
  await keys.refresh();
  expect([isKnown(keys, OLD), isKnown(keys, NEW)]).toEqual([false, true]);
});

test.each([
  ['broken', () => writeFileSync(path, `${NEW.line}\n{"client":`)],
  ['gone', () => rmSync(path)],
])('a file that is %s keeps the keys as they were, and is told once', async (_name, spoil) => {
  const keys = await open();
  spoil();
  await keys.refresh();
  await keys.refresh();
  expect([isKnown(keys, OLD), isKnown(keys, NEW)]).toEqual([true, false]);
  const errors = logLines.filter(({ level }) => level === 'error');
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatchObject({ fault: expect.stringMatching(/^(line 2: |ENOENT)/) });
  writeFileSync(path, NEW.line);
  await keys.refresh();
  expect([isKnown(keys, OLD), isKnown(keys, NEW)]).toEqual([false, true]);
});

test('an empty file revokes every key, and says so', async () => {
  const keys = await open();
  writeFileSync(path, '# none\n');
  await keys.refresh();
  expect(isKnown(keys, OLD)).toBe(false);
  expect(logLines.at(-1)).toMatchObject({ level: 'warn' });
});

test('a key expires without a change of the file', async () => {
  const dated = makeApiKey({ client: 'lab', expires: '1970-01-02' });
  writeFileSync(path, dated.line);
  let nowMs = 0;
  const keys = await open(() => nowMs);
  expect(isKnown(keys, dated)).toBe(true);
  nowMs = 24 * 3600 * 1000;
  expect(isKnown(keys, dated)).toBe(false);
});

test('at the start a file that is not right is an error', async () => {
  writeFileSync(path, '{}');
  await expect(open()).rejects.toThrow(/^line 1: client: /);
  rmSync(path);
  await expect(open()).rejects.toThrow(/ENOENT/);
});
