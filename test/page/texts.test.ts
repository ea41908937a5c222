/** What the page says and reads: times, lines, commands, recordings. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { curlCommand } from '../../page/curl.js';
import { factsLine } from '../../page/facts.js';
import { LineSplitter } from '../../page/lines.js';
import { isProblem, ProblemError, toProblemError } from '../../page/problem.js';
import { clockTime, duration, roundStep, tickLabel } from '../../page/time.js';
import { toWav, wavSeconds } from '../../page/wav.js';
import { writeWav } from '../audio/wav-writer.js';

describe('times', () => {
  test.each([
    [0, '0:00.0'],
    [3.24, '0:03.2'],
    [59.96, '1:00.0'],
    [83, '1:23.0'],
    [3723.5, '1:02:03.5'],
    [-1, '0:00.0'],
  ])('%d s on the clock is %s', (seconds, text) => {
    expect(clockTime(seconds)).toBe(text);
  });

  test.each([
    [5, '5.0 s'],
    [59.9, '59.9 s'],
    [59.96, '1 min'],
    [200, '3 min 20 s'],
    [3600, '1 h'],
    [7384, '2 h 3 min 4 s'],
  ])('a length of %d s is %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  test('an axis never has more ticks than there is room for, and most of that', () => {
    const lengths = fc.double({ min: 0.2, max: 40_000, noNaN: true });
    const check = fc.property(lengths, fc.integer({ min: 2, max: 20 }), (seconds, most) => {
      const ticks = seconds / roundStep(seconds, most);
      expect(ticks).toBeLessThanOrEqual(most + 1e-9);
      if (seconds > 1) expect(ticks).toBeGreaterThan(most / 4);
    });
    fc.assert(check);
  });

  test('a tick has tenths only where the step has', () => {
    expect(tickLabel(1.5, 0.5)).toBe('0:01.5');
    expect(tickLabel(90, 30)).toBe('1:30');
  });
});

test('lines are the same wherever the pieces end', () => {
  const line = fc.string({ unit: fc.constantFrom('a', '{', '}', '"', 'ä', '𝄞', ' ') });
  const check = fc.property(
    fc.array(line),
    fc.array(fc.nat(200)),
    fc.boolean(),
    (all, cuts, ends) => {
      const text = all.join('\n') + (ends ? '\n' : '');
      const borders = [0, ...cuts.filter((cut) => cut < text.length).toSorted((a, b) => a - b)];
      const splitter = new LineSplitter();
      const got = borders.flatMap((from, i) => splitter.push(text.slice(from, borders[i + 1])));
      expect([...got, ...splitter.end()]).toEqual(all.filter((each) => each !== ''));
    },
  );
  fc.assert(check);
});

describe('curl command', () => {
  /** The words that a shell makes of it, each with a NUL after it. */
  const wordsOf = (command: string): string[] =>
    execFileSync('sh', ['-c', command.replaceAll(/(^|&& )curl /g, "$1printf '%s\\0' ")], {
      encoding: 'utf8',
      env: { EARSHOT_API_KEY: 'key.secret' },
    })
      .split('\0')
      .slice(0, -1);

  const url = 'http://localhost:8080/v1/tags?top_k=10&include=peaks';

  test('a plain name stays readable', () => {
    const command = curlCommand({ url: 'http://localhost:8080/v1/tags', fileName: 'dog.ogg' });
    expect(command).toBe('curl -F file=@dog.ogg http://localhost:8080/v1/tags');
  });

  test('any name and any URL reach curl as they are', () => {
    const name = fc.string({
      unit: fc.constantFrom('a', ' ', "'", '$', '`', '*', '!', 'ä', '-', '&', '|'),
    });
    const check = fc.property(name, (fileName) => {
      expect(wordsOf(curlCommand({ url, fileName }))).toEqual(['-F', `file=@${fileName}`, url]);
    });
    fc.assert(check, { numRuns: 30 });
  });

  test('what curl itself would cut is in quotes', () => {
    const fileName = 'a "b", c; d\\e.wav';
    const [, form] = wordsOf(curlCommand({ url, fileName }));
    expect(form).toBe('file=@"a \\"b\\", c; d\\\\e.wav"');
  });

  test('a sound of the page is fetched first; a key comes from the environment', () => {
    const fileUrl = 'http://localhost:8080/page/sounds/dog.ogg';
    expect(wordsOf(curlCommand({ url, fileName: 'dog.ogg', fileUrl, hasKey: true }))).toEqual([
      '-sO',
      fileUrl,
      '-H',
      'Authorization: Bearer key.secret',
      '-F',
      'file=@dog.ogg',
      url,
    ]);
  });
});

test('a recording is the WAV file that another writer makes of it', () => {
  const chunks = [Float32Array.of(0, 0.5, -0.5), Float32Array.of(1, -1, 2, -2, 0.25)];
  const samples = Float32Array.from(
    chunks.flatMap((chunk) => [...chunk]),
    (sample) => Math.max(-1, Math.min(1, sample)),
  );
  const bytes = Buffer.from(toWav(chunks, 48_000));
  const other = writeWav({ kind: 's16', sampleRate: 48_000, channels: [samples] });
  expect(bytes.length).toBe(other.length);
  expect(bytes.subarray(0, 44)).toEqual(other.subarray(0, 44));
  for (let i = 44; i < bytes.length; i += 2) {
    expect(Math.abs(bytes.readInt16LE(i) - other.readInt16LE(i))).toBeLessThanOrEqual(1);
  }
  expect(wavSeconds(bytes.length, 48_000)).toBe(8 / 48_000);
});

test('what is known of a recording fits on a line', () => {
  const audio = {
    duration_seconds: 5,
    container: 'ogg',
    codec: 'vorbis',
    decoder: 'libvorbis',
    sample_rate: 44_100,
    channels: 2,
    peak_dbfs: -1.24,
    rms_dbfs: -20,
    full_scale_samples: 0,
    silent: false,
    bandwidth_hz: 16_000,
    warnings: [],
  };
  expect(factsLine(audio)).toBe('5.0 s · ogg vorbis · 44.1 kHz · stereo · peak -1.2 dBFS');
  const other = { ...audio, container: 'mp3', codec: 'mp3', channels: 6, peak_dbfs: null };
  expect(factsLine(other)).toBe('5.0 s · mp3 · 44.1 kHz · 6 channels');
});

describe('problems', () => {
  const problem = {
    type: '/problems/empty_audio',
    title: 'The audio is empty',
    status: 422,
    detail: 'Expected an audio file, got 0 bytes',
    instance: 'urn:request:1',
    code: 'empty_audio',
  } as const;

  test('of the service are read; a proxy may answer in its own words', () => {
    const error = toProblemError({ status: 422, text: JSON.stringify(problem) });
    expect(error).toBeInstanceOf(ProblemError);
    expect(error.message).toBe(problem.detail);
    for (const text of ['<html>', '{}', 'null', '']) {
      expect(toProblemError({ status: 502, text }).message).toContain('502');
    }
  });

  test('are told from events', () => {
    expect(isProblem({ object: 'error', ...problem })).toBe(true);
    expect(isProblem({ object: 'audio.event', label: 'Dog' })).toBe(false);
  });
});
