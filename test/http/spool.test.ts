import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Spool } from '../../src/http/spool.js';

const MAX_AGE_MS = 60_000;

let folder: string;
let spool: Spool;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'earshot-spool-'));
  spool = new Spool(folder);
});
afterEach(() => rm(folder, { recursive: true }));

/** The name that a process on this host, or on another, gives an upload. */
function nameOf(pid: number, { isForeign = false } = {}): string {
  const [, host, , ...id] = basename(spool.newPath()).split('-');
  return ['earshot', isForeign ? '00000000' : host, pid, ...id].join('-');
}

/** Number of a process that has ended. */
const goneProcess = () => spawnSync(process.execPath, ['--version']).pid;

test('at the start, what dead processes left is deleted, and nothing else', async () => {
  const leftOver = [nameOf(process.pid), nameOf(goneProcess())];
  const inUse = [nameOf(process.ppid), nameOf(goneProcess(), { isForeign: true })];
  const foreign = ['notes.txt', 'earshot-backup.upload', 'earshot.upload'];
  for (const name of [...leftOver, ...inUse, ...foreign]) await writeFile(join(folder, name), 'x');
  expect(await spool.sweep({ maxAgeMs: MAX_AGE_MS })).toBe(leftOver.length);
  expect((await readdir(folder)).toSorted()).toEqual([...inUse, ...foreign].toSorted());
});

test('older than any request may get: deleted, whoever wrote it', async () => {
  const old = nameOf(process.ppid, { isForeign: true });
  await writeFile(join(folder, old), 'x');
  const anHourAgo = Date.now() / 1000 - 3600;
  await utimes(join(folder, old), anHourAgo, anHourAgo);
  expect(await spool.sweep({ maxAgeMs: MAX_AGE_MS })).toBe(1);
});

test('the folder is made when it is missing', async () => {
  const inner = join(folder, 'a', 'b');
  expect(await new Spool(inner).sweep({ maxAgeMs: MAX_AGE_MS })).toBe(0);
  expect(await readdir(inner)).toEqual([]);
});

test('a source that breaks off fails the writing', async () => {
  const source = new Readable({ read() {} });
  source.push('abc');
  const signal = new AbortController().signal;
  const written = spool.write(source, spool.newPath(), { onBytes() {}, signal });
  source.destroy();
  await expect(written).rejects.toThrow();
});

test('a source whose bytes are refused stays alive, and its rest is dropped', async () => {
  const source = Readable.from([Buffer.from('abc'), Buffer.from('def')]);
  const refusal = new Error('enough');
  const signal = new AbortController().signal;
  const onBytes = () => {
    throw refusal;
  };
  await expect(spool.write(source, spool.newPath(), { onBytes, signal })).rejects.toBe(refusal);
  await expect.poll(() => source.readableEnded).toBe(true);
});

test('a failure is told when the file is closed, be it still opening: deleted, it stays away', async () => {
  const order: string[] = [];
  const openLate = () => {
    const file = new Writable({ construct: (opened) => setImmediate(opened), write() {} });
    return file.on('close', () => order.push('closed'));
  };
  const signal = new AbortController().signal;
  const onBytes = () => {
    throw new Error('enough');
  };
  const late = new Spool(folder, openLate);
  const written = late.write(Readable.from(['abc']), spool.newPath(), { onBytes, signal });
  await written.catch(() => order.push('told'));
  expect(order).toEqual(['closed', 'told']);
});
