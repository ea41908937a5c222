/** Files of results: whatever was cut off, what is complete is kept, and what is written can be read. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDocument } from '../../src/cli/document-file.js';
import { EmbeddingFiles } from '../../src/cli/embedding-files.js';
import type { Entry } from '../../src/cli/entry.js';
import { NpyFile } from '../../src/cli/npy-file.js';
import { readRecords } from '../../src/cli/records.js';
import { ResultFile } from '../../src/cli/result-file.js';
import { LINES, TABLE } from '../../src/cli/result-format.js';
import { parseCsvRecord } from '../../src/cli/table-format.js';
import { toCsvLine } from '../../src/outputs/csv.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'earshot-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const RUN = 'run0';
// Names with all that a table or a line of JSON could stumble over.
const PATHS = ['a.wav', 'b,c "d"\n.wav', 'ä\u2028.ogg', 'bad.wav', '-e.mp3'];

function entryOf(path: string, index: number): Entry {
  const key = { path, bytes: 10 + index, modified_ms: 1000 + index, run: RUN };
  if (path === 'bad.wav') {
    const problem = { code: 'empty_audio', title: 'Empty', detail: 'got "0",\nbytes' } as const;
    return { ...key, status: 422, problem };
  }
  const audio = { duration_seconds: 5 } as never;
  const tag = { label: 'Fly, housefly', mid: '/m/0h2mp', class_index: 1, score: 0.5 };
  const usage = { audio_seconds: 5, windows: 1 };
  const tags = [tag, { ...tag, label: 'Dog' }];
  return { ...key, status: 200, model: 'm', audio, tags, usage, embedding_row: index };
}
const ENTRIES = PATHS.map(entryOf);

async function writeAll(path: string, format: typeof LINES, entries = ENTRIES): Promise<void> {
  const file = await ResultFile.open(path, { format, run: RUN });
  for (const entry of entries) if (!file.done.has(entry.path)) await file.append(entry);
  await file.close();
}

describe.each([
  ['ndjson', LINES],
  ['csv', TABLE],
])('a file of results as %s', (name, format) => {
  test('cut off at any byte goes on to the same bytes', async () => {
    const whole = at(`whole.${name}`);
    await writeAll(whole, format);
    const bytes = readFileSync(whole);
    const property = fc.asyncProperty(fc.nat({ max: bytes.length }), async (length) => {
      const torn = at(`torn.${name}`);
      writeFileSync(torn, bytes.subarray(0, length));
      await writeAll(torn, format);
      expect(readFileSync(torn).equals(bytes)).toBe(true);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  test('says what stood in it, the last of each path', async () => {
    const path = at(`again.${name}`);
    await writeAll(path, format, [...ENTRIES]);
    const file = await ResultFile.open(path, { format, run: RUN });
    await file.append({ ...(ENTRIES[0] as Entry), bytes: 99 });
    await file.close();
    const again = await ResultFile.open(path, { format, run: RUN });
    await again.close();
    const { done } = again;
    expect([...done.keys()]).toEqual(PATHS);
    expect(done.get('a.wav')).toMatchObject({ bytes: 99, status: 200, embedding_row: 0 });
    expect(done.get('bad.wav')).toMatchObject({ bytes: 13, modified_ms: 1003, status: 422 });
  });

  test('of another run, or of something else, is left alone', async () => {
    const path = at(`other.${name}`);
    await writeAll(path, format);
    const before = readFileSync(path);
    const other = ResultFile.open(path, { format, run: 'run1' });
    await expect(other).rejects.toThrow(/other options \(run run0, this one is run1\)/);
    expect(readFileSync(path).equals(before)).toBe(true);
    writeFileSync(path, 'my diary\nof years\n');
    await expect(ResultFile.open(path, { format, run: RUN })).rejects.toThrow('something else');
    expect(readFileSync(path, 'utf8')).toBe('my diary\nof years\n');
  });
});

describe('a document of results', () => {
  test('is whole or not there, and can be taken up at any time', async () => {
    const path = at('all.json');
    const first = await openDocument(path, { run: RUN });
    for (const entry of ENTRIES.slice(0, 2)) await first.lines.append(entry);
    await first.lines.close();
    expect(existsSync(path)).toBe(false);
    const second = await openDocument(path, { run: RUN });
    expect([...second.lines.done.keys()]).toEqual(PATHS.slice(0, 2));
    for (const entry of ENTRIES.slice(2)) await second.lines.append(entry);
    await second.finish();
    expect(existsSync(`${path}.partial`)).toBe(false);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ object: 'list', data: ENTRIES });
    const third = await openDocument(path, { run: RUN });
    expect([...third.lines.done.keys()]).toEqual(PATHS);
    await third.lines.append({ ...(ENTRIES[1] as Entry), bytes: 5 });
    await third.finish();
    const { data } = JSON.parse(readFileSync(path, 'utf8'));
    const last = [ENTRIES[0], ...ENTRIES.slice(2), { ...ENTRIES[1], bytes: 5 }];
    expect(data).toEqual(last);
  });

  test('of nothing is valid, too; something else is left alone', async () => {
    const empty = await openDocument(at('empty.json'), { run: RUN });
    await empty.finish();
    expect(JSON.parse(readFileSync(at('empty.json'), 'utf8')).data).toEqual([]);
    writeFileSync(at('mine.json'), '{"mine":\n1}\n');
    await expect(openDocument(at('mine.json'), { run: RUN })).rejects.toThrow('something else');
    expect(readFileSync(at('mine.json'), 'utf8')).toBe('{"mine":\n1}\n');
  });
});

test('records are found though they come in pieces, with line feeds in quotes', async () => {
  const rows = Array.from({ length: 9000 }, (_, i) => [`line\n${i}`, 'a"b', '', `${i}`]);
  writeFileSync(at('rows.csv'), rows.map((row) => toCsvLine(row)).join(''));
  const found: string[][] = [];
  let lastEnd = 0;
  for await (const { text, endBytes } of readRecords(at('rows.csv'), { hasQuotes: true })) {
    found.push(parseCsvRecord(text));
    lastEnd = endBytes;
  }
  expect(found).toEqual(rows);
  expect(lastEnd).toBe(readFileSync(at('rows.csv')).length);
});

test('a record of a table is read as it was written', () => {
  const fields = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 5 });
  const property = fc.property(fields, (values) => {
    expect(parseCsvRecord(toCsvLine(values).replace(/\r\n$/, ''))).toEqual(values);
  });
  fc.assert(property, { examples: [[['', '', '']], [['a,"b"\r\n', '"']]] });
});

describe('embeddings', () => {
  const vectorOf = (row: number) => Float32Array.of(row, row / 3, -row);

  async function append(path: string, { from, to }: { from: number; to: number }) {
    const file = await NpyFile.open(path, { dim: 3, rows: from });
    for (let row = from; row < to; row++) expect(await file.append(vectorOf(row))).toBe(row);
    await file.close();
  }

  test('cut off behind any result go on to the same bytes', async () => {
    await append(at('whole.npy'), { from: 0, to: 12 });
    const whole = readFileSync(at('whole.npy'));
    for (const rows of [0, 1, 9, 10, 12]) {
      writeFileSync(at('torn.npy'), Buffer.concat([whole.subarray(0, 128 + 12 * rows + 7)]));
      await append(at('torn.npy'), { from: rows, to: 12 });
      expect(readFileSync(at('torn.npy')).equals(whole)).toBe(true);
    }
  });

  test('fewer or wider than the results say are refused, and left alone', async () => {
    await append(at('few.npy'), { from: 0, to: 2 });
    const before = readFileSync(at('few.npy'));
    await expect(NpyFile.open(at('few.npy'), { dim: 3, rows: 3 })).rejects.toThrow('the 3 rows');
    await expect(NpyFile.open(at('few.npy'), { dim: 2, rows: 1 })).rejects.toThrow('of 2 numbers');
    await expect(NpyFile.open(at('no.npy'), { dim: 3, rows: 3 })).rejects.toThrow('ENOENT');
    expect(readFileSync(at('few.npy')).equals(before)).toBe(true);
  });

  test('have a table that says whose they are', async () => {
    const done = ENTRIES.slice(0, 2).map((entry) => ({
      ...entry,
      embedding_row: entry.bytes - 10,
    }));
    await append(at('some.npy'), { from: 0, to: 2 });
    const files = await EmbeddingFiles.open(at('some.npy'), { dim: 3, done });
    expect(await files.append('new.wav', vectorOf(2))).toBe(2);
    await files.close();
    const rows: string[][] = [];
    for await (const { text } of readRecords(at('some.npy.csv'), { hasQuotes: true })) {
      rows.push(parseCsvRecord(text));
    }
    expect(rows).toEqual([
      ['row', 'path'],
      ['0', PATHS[0]],
      ['1', PATHS[1]],
      ['2', 'new.wav'],
    ]);
  });

  const python = ['training/.venv/bin/python', 'python3'].find((name) => {
    try {
      execFileSync(name, ['-c', 'import numpy'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  test.skipIf(python === undefined)('are read by NumPy', async () => {
    await append(at('read.npy'), { from: 0, to: 11 });
    const program =
      'import numpy, sys; a = numpy.load(sys.argv[1]); print(a.shape, a.dtype, a.sum())';
    const said = execFileSync(python ?? '', ['-c', program, at('read.npy')], { encoding: 'utf8' });
    expect(said).toMatch(/^\(11, 3\) float32 18\.33/);
  });
});
