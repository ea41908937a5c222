/** The command line on real clips: in this process where the bytes count, as a process where signals do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { AnswerEntry, Entry } from '../../src/cli/entry.js';
import { readRecords } from '../../src/cli/records.js';
import { parseCsvRecord } from '../../src/cli/table-format.js';
import { tagCommand } from '../../src/cli/tag-command.js';
import { openWorkshop, startService, toneClip } from '../http/test-service.js';
import { enginePids } from '../inference/tiny-model.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODELS_DIR = join(ROOT, 'test/fixtures/models');
const CLIPS = join(ROOT, 'test/fixtures/clips');
const MAIN = join(ROOT, 'src/cli/main.ts');

const folder = mkdtempSync(join(tmpdir(), 'earshot-cli-'));
const at = (...names: string[]) => join(folder, ...names);
/** As a person might have them: nested, one cut short, one that is none, an empty one, and a letter. */
const ARCHIVE = at('archive');

beforeAll(() => {
  vi.stubEnv('MODELS_DIR', MODELS_DIR);
  vi.stubEnv('ENGINES', '1');
  vi.stubEnv('EXECUTION_PROVIDER', 'cpu');
  mkdirSync(at('archive', 'b'), { recursive: true });
  copyFileSync(join(CLIPS, 'dog.ogg'), at('archive', 'a dog, "barking".ogg'));
  copyFileSync(join(CLIPS, 'rooster.ogg'), at('archive', 'b', 'rooster.bin'));
  copyFileSync(join(CLIPS, 'tabla.flac'), at('archive', 'z.flac'));
  writeFileSync(at('archive', 'b', 'empty.wav'), '');
  const flac = readFileSync(join(CLIPS, 'cymbal.flac'));
  writeFileSync(
    at('archive', 'cut.flac'),
    Buffer.concat([flac.subarray(0, 90), Buffer.alloc(3000, 7)]),
  );
  writeFileSync(at('archive', 'letter.txt'), 'Dear all, this is no sound.');
  // A whole number, so that every disk gives it back.
  for (const name of [
    'a dog, "barking".ogg',
    'b/rooster.bin',
    'z.flac',
    'b/empty.wav',
    'cut.flac',
  ]) {
    utimesSync(at('archive', name), 1_700_000_000, 1_700_000_000);
  }
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});
afterEach(() => expect(enginePids()).toEqual([]));

/** Order of the archive, and what becomes of each file. */
const OUTCOMES = [
  ['a dog, "barking".ogg', 200],
  ['b/empty.wav', 422],
  ['b/rooster.bin', 200],
  ['cut.flac', 422],
  ['z.flac', 200],
] as const;

class TextSink extends Writable {
  readonly isTTY = false;
  text = '';
  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.text += piece.toString();
    done();
  }
}

async function tag(...args: string[]) {
  const [stdout, stderr] = [new TextSink(), new TextSink()];
  const { signal } = new AbortController();
  const code = await tagCommand(args, { stdout, stderr: stderr as never, signal });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

const entriesOf = (lines: string): Entry[] =>
  lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('earshot tag', () => {
  test('answers each file of a folder in order; a bad one is a line, a letter is left out', async () => {
    const { code, stdout, stderr } = await tag(ARCHIVE, '--top-k', '2');
    expect(code).toBe(1);
    const entries = entriesOf(stdout);
    expect(entries.map(({ path, status }) => [path.slice(ARCHIVE.length + 1), status])).toEqual(
      OUTCOMES,
    );
    expect((entries[0] as AnswerEntry).tags).toHaveLength(2);
    expect(entries[1]).toMatchObject({ bytes: 0, problem: { code: 'empty_audio' } });
    expect(entries[3]).toMatchObject({ problem: { code: 'undecodable_audio' } });
    expect(stderr).toContain('cut.flac: The audio cannot be decoded.');
    expect(stderr).toMatch(/3 of 6 files answered, 2 failed, 1 left out, no audio, 0:1\d of sound/);
  });

  test('gives what the service gives: tags, events and vector', async () => {
    const clip = join(CLIPS, 'dog.ogg');
    const embeddings = at('same.npy');
    const flags = ['--top-k', '7', '--labels', 'Dog,Bark,Speech', '--embeddings', embeddings];
    const { code, stdout } = await tag(clip, ...flags, '--events', '--on-threshold', '0.4');
    expect(code).toBe(0);
    const [entry] = entriesOf(stdout) as [AnswerEntry];
    const workshop = await openWorkshop();
    const service = await startService(workshop);
    const ask = async (path: string) =>
      (await service.call('post', path).attach('file', readFileSync(clip), 'x')).body;
    const tags = await ask('/v1/tags?top_k=7&labels=Dog,Bark,Speech');
    const events = await ask('/v1/events?labels=Dog,Bark,Speech&on_threshold=0.4');
    const { data } = await ask('/v1/embeddings');
    await service.close();
    await workshop.close();
    const { audio, usage, tags: theirs } = tags;
    expect({ audio: entry.audio, usage: entry.usage, tags: entry.tags }).toEqual({
      audio,
      usage,
      tags: theirs,
    });
    expect(entry.events).toEqual(events.events);
    expect(events.events.length).toBeGreaterThan(0);
    const npy = readFileSync(embeddings);
    const vector = Array.from({ length: 32 }, (_, i) => npy.readFloatLE(128 + 4 * i));
    for (const [i, value] of vector.entries()) expect(value).toBeCloseTo(data[0].embedding[i], 6);
  });

  test('says the same in all three formats', async () => {
    const lines = entriesOf((await tag(ARCHIVE, '--events', '--max-events', '3')).stdout);
    const json = await tag(ARCHIVE, '--events', '--max-events', '3', '--format', 'json');
    expect(JSON.parse(json.stdout)).toEqual({ object: 'list', data: lines });
    writeFileSync(
      at('out.csv'),
      (await tag(ARCHIVE, '--events', '--max-events', '3', '--format', 'csv')).stdout,
    );
    const records: string[][] = [];
    for await (const { text: record } of readRecords(at('out.csv'), { hasQuotes: true })) {
      records.push(parseCsvRecord(record));
    }
    const [head = [], ...rows] = records.map((values) => values);
    const table = rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]])));
    const expected = lines.flatMap((entry) => {
      const { tags = [], events = [] } = entry as AnswerEntry;
      return [
        ...tags.map(({ label, score }) => [entry.path, 'tag', label, String(score)]),
        ...events.map(({ label, score }) => [entry.path, 'event', label, String(score)]),
        [entry.path, 'file', '', ''],
      ];
    });
    expect(table.map(({ path, kind, label, score }) => [path, kind, label, score])).toEqual(
      expected,
    );
    expect(table.find(({ status }) => status === '422')).toMatchObject({ code: 'empty_audio' });
  });

  test('a file that is not there is a line, too', async () => {
    const { code, stdout } = await tag(at('nowhere.wav'), join(CLIPS, 'tabla.flac'), '-q');
    expect(code).toBe(1);
    expect(entriesOf(stdout)).toMatchObject([
      { status: 404, problem: { code: 'not_found', detail: expect.stringContaining('ENOENT') } },
      { status: 200 },
    ]);
  });

  test.each([
    [['--model', 'huge'], /MODEL: expected one of the models in .*\(tiny\), got huge/],
    [['--labels', 'Dogg'], /--labels: Expected.*Dogg/],
    [['--top-k', '528'], /--top-k: Expected an integer from 1 to 527/],
    [['--out', '/dev/null/x'], /cannot be written to \(ENOTDIR\)/],
  ])('refuses %j before it hears anything', async (flags, message) => {
    await expect(tag(ARCHIVE, ...flags)).rejects.toThrow(message);
  });
});

describe('a second run', () => {
  const embedded = (name: string) => [ARCHIVE, '-o', at(name), '--embeddings', at(`${name}.npy`)];
  const bytesOf = (name: string) =>
    [name, `${name}.npy`, `${name}.npy.csv`].map((each) => readFileSync(at(each)).toString('hex'));

  test('does what is left, and leaves the same bytes as one run', async () => {
    const whole = await tag(...embedded('whole.ndjson'));
    expect(whole.code).toBe(1);
    const bytes = bytesOf('whole.ndjson');
    const [lines = ''] = bytes;
    // As if the power had gone in the middle of the third line, its vector written before it.
    writeFileSync(at('torn.ndjson'), Buffer.from(lines, 'hex'));
    const ends = entriesOf(readFileSync(at('torn.ndjson'), 'utf8')).map(
      (entry) => JSON.stringify(entry).length + 1,
    );
    truncateSync(at('torn.ndjson'), (ends[0] ?? 0) + (ends[1] ?? 0) + 40);
    writeFileSync(at('torn.ndjson.npy'), Buffer.from(bytes[1] ?? '', 'hex'));
    truncateSync(at('torn.ndjson.npy'), 128 + 2 * 128 + 5);
    const resumed = await tag(...embedded('torn.ndjson'));
    expect(resumed.code).toBe(1);
    expect(resumed.stderr).toContain('2 of them by an earlier run');
    expect(bytesOf('torn.ndjson')).toEqual(bytes);
    const third = await tag(...embedded('torn.ndjson'));
    expect(third.code).toBe(1);
    expect(third.stderr).toMatch(/5 of them by an earlier run, 0:00 of sound heard/);
    expect(bytesOf('torn.ndjson')).toEqual(bytes);
  });

  test('hears a file again that has changed, and a new one', async () => {
    const own = at('changing');
    mkdirSync(own);
    copyFileSync(join(CLIPS, 'dog.ogg'), join(own, 'a'));
    copyFileSync(join(CLIPS, 'tabla.flac'), join(own, 'c'));
    const args = [own, '-o', at('changing.json'), '--embeddings', at('changing.npy')];
    expect((await tag(...args)).code).toBe(0);
    copyFileSync(join(CLIPS, 'rooster.ogg'), join(own, 'a'));
    copyFileSync(join(CLIPS, 'dog.ogg'), join(own, 'b'));
    const { stderr } = await tag(...args);
    expect(stderr).toContain('1 of them by an earlier run');
    const { data } = JSON.parse(readFileSync(at('changing.json'), 'utf8'));
    const rows = data.map(({ path, embedding_row: row }: AnswerEntry) => [path.at(-1), row]);
    expect(rows).toEqual([
      ['c', 1],
      ['a', 2],
      ['b', 3],
    ]);
    const index = readFileSync(at('changing.npy.csv'), 'utf8').trimEnd().split('\r\n');
    expect(index.map((line) => line.split(',')[0])).toEqual(['row', '1', '2', '3']);
  });

  test('with other options is refused, unless it may begin anew', async () => {
    const clip = join(CLIPS, 'tabla.flac');
    const args = [clip, '-o', at('options.csv'), '--embeddings', at('options.npy')];
    await tag(...args);
    const before = readFileSync(at('options.csv'), 'utf8');
    await expect(tag(...args, '--top-k', '2')).rejects.toThrow('of other options');
    expect(readFileSync(at('options.csv'), 'utf8')).toBe(before);
    await tag(...args, '--top-k', '2', '--overwrite');
    expect(readFileSync(at('options.csv'), 'utf8').match(/,tag,/g)).toHaveLength(2);
    expect(readFileSync(at('options.npy'))).toHaveLength(128 + 128);
  });

  test('never overwrites vectors that no results go with', async () => {
    appendFileSync(at('precious.npy'), 'precious');
    const args = [join(CLIPS, 'tabla.flac'), '--embeddings', at('precious.npy')];
    await expect(tag(...args)).rejects.toThrow('is there already');
    expect(readFileSync(at('precious.npy'), 'utf8')).toBe('precious');
  });
});

describe('as a process', () => {
  function earshot(...args: string[]): ChildProcess {
    const env = { ...process.env, MODELS_DIR, ENGINES: '1', EXECUTION_PROVIDER: 'cpu' };
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    return spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
      cwd: ROOT,
      env,
      stdio: [...stdio],
    });
  }
  async function ended(child: ChildProcess) {
    const [[code], stdout, stderr] = await Promise.all([
      once(child, 'close'),
      text(child.stdout as NodeJS.ReadableStream),
      text(child.stderr as NodeJS.ReadableStream),
    ]);
    return { code, stdout, stderr };
  }

  test('stopped by Ctrl-C in the middle, it goes on to the bytes of an uninterrupted run', async () => {
    const many = at('many');
    mkdirSync(many);
    for (let i = 0; i < 12; i++) {
      writeFileSync(join(many, `tone ${10 + i}.wav`), toneClip(30, { hz: 200 + 31 * i }));
    }
    const argsTo = (name: string) => [
      'tag',
      many,
      '-o',
      at(name),
      '--embeddings',
      at(`${name}.npy`),
    ];
    const first = earshot(...argsTo('stopped.csv'));
    const outcome = ended(first);
    const numDone = () =>
      existsSync(at('stopped.csv'))
        ? (readFileSync(at('stopped.csv'), 'utf8').match(/,file,/g)?.length ?? 0)
        : 0;
    await expect.poll(numDone, { interval: 10 }).toBeGreaterThan(1);
    first.kill('SIGINT');
    const stopped = await outcome;
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toContain('; stopped');
    expect(numDone()).toBeLessThan(12);
    const [resumed, whole] = await Promise.all([
      ended(earshot(...argsTo('stopped.csv'))),
      ended(earshot(...argsTo('through.csv'))),
    ]);
    expect([resumed.code, whole.code]).toEqual([0, 0]);
    expect(resumed.stderr).toMatch(/12 of 12 files answered, \d+ of them by an earlier run/);
    for (const tail of ['', '.npy', '.npy.csv']) {
      const [ours, theirs] = ['stopped', 'through'].map((name) =>
        readFileSync(at(`${name}.csv${tail}`)),
      );
      expect(ours?.equals(theirs as Buffer), tail).toBe(true);
    }
  });

  test('exit codes and help', async () => {
    const calls = [['--version'], ['--help'], ['tag'], ['frobnicate'], ['models']];
    const [version, help, usage, unknown, models] = await Promise.all(
      calls.map((args) => ended(earshot(...args))),
    );
    expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    expect(help).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('--embeddings OUT.npy'),
    });
    expect(usage).toMatchObject({
      code: 2,
      stderr: 'earshot: Expected files or folders, got none\n',
    });
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('got frobnicate') });
    expect(models).toMatchObject({ code: 0, stdout: expect.stringMatching(/^tiny\trevision 1\t/) });
  });
});
