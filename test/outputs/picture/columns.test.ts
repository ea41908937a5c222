import fc from 'fast-check';
import { PNG } from 'pngjs';
import { describe, expect, test } from 'vitest';
import { encodePng } from '../../../src/outputs/picture/indexed-png.js';
import { SpectrogramColumns } from '../../../src/outputs/picture/spectrogram-columns.js';
import { toSpectrogramImage } from '../../../src/outputs/picture/spectrogram-image.js';
import { toTicks } from '../../../src/outputs/picture/time-axis.js';
import { WaveColumns } from '../../../src/outputs/picture/wave-columns.js';

const SAMPLE_RATE = 16_000;

const sine = (hz: number, seconds: number) =>
  Float32Array.from({ length: Math.round(seconds * SAMPLE_RATE) }, (_, i) =>
    Math.sin((2 * Math.PI * hz * i) / SAMPLE_RATE),
  );

function spectrogramOf(pieces: readonly Float32Array[], maxColumns = 1024) {
  const columns = new SpectrogramColumns({ maxColumns, bands: 96, sampleRate: SAMPLE_RATE });
  for (const piece of pieces) columns.push(piece);
  return columns.finish();
}

function cut(samples: Float32Array, lengths: readonly number[]): Float32Array[] {
  const pieces: Float32Array[] = [];
  for (let start = 0, i = 0; start < samples.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    pieces.push(samples.subarray(start, start + length));
    start += length;
  }
  return pieces;
}

describe('the outline of a waveform', () => {
  const maxColumns = 16;
  const outline = (pieces: readonly Float32Array[]) => {
    const columns = new WaveColumns(maxColumns);
    for (const piece of pieces) columns.push(piece);
    return columns.finish();
  };

  test('holds every sample, in at most so many columns, in pieces of any size', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9000 }), lengths, (numSamples, pieceLengths) => {
        const samples = Float32Array.from({ length: numSamples }, (_, i) => Math.sin(i * i));
        const whole = outline([samples]);
        expect(outline(cut(samples, pieceLengths))).toEqual(whole);
        expect(whole.columns.length).toBeLessThanOrEqual(maxColumns);
        const columnSamples = numSamples / whole.numColumns;
        for (const [i, { low, high }] of whole.columns.entries()) {
          const own = samples.slice(
            Math.round(i * columnSamples),
            Math.round((i + 1) * columnSamples),
          );
          expect([low, high]).toEqual([Math.min(...own), Math.max(...own)]);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('the spectrogram', () => {
  test.each([100, 440, 1000, 3000, 7000])('shows %i Hz in its own band', (hz) => {
    const { columns, maxHz, bands } = spectrogramOf([sine(hz, 1)]);
    const mel = (f: number) => 2595 * Math.log10(1 + f / 700);
    const expected = Math.floor((mel(hz) / mel(maxHz)) * bands);
    const [middle] = columns.slice(50, 51);
    const loudest = middle?.indexOf(Math.max(...middle)) ?? -1;
    expect(Math.abs(loudest - expected)).toBeLessThanOrEqual(1);
  });

  test('has a column every 10 ms, and a click in the column where it is', () => {
    const samples = new Float32Array(SAMPLE_RATE);
    samples[8000] = 1;
    const { columns } = spectrogramOf([samples]);
    expect(columns).toHaveLength(100);
    const levels = columns.map((powers) => powers.reduce((a, b) => a + b, 0));
    const centre =
      levels.reduce((sum, level, i) => sum + level * (i + 0.5), 0) /
      levels.reduce((a, b) => a + b, 0);
    expect(centre).toBeCloseTo(50, 0);
  });

  test('is the same in pieces of any size, also when columns are merged', () => {
    const samples = sine(500, 3).map((value, i) => value * (i % 5000 < 200 ? 1 : 0.01));
    const whole = spectrogramOf([samples], 64);
    expect(whole.columns.length).toBeLessThanOrEqual(64);
    expect(spectrogramOf(cut(samples, [1, 777, 4096, 158_720]), 64)).toEqual(whole);
    const single = spectrogramOf([samples]).columns;
    const framesPerColumn = 8; // 300 frames in at most 64 columns
    const mean = (band: number) =>
      single.slice(0, framesPerColumn).reduce((sum, column) => sum + (column[band] ?? 0), 0) /
      framesPerColumn;
    for (const band of [0, 20, 50]) expect(whole.columns[0]?.[band]).toBeCloseTo(mean(band), 6);
  });

  test('becomes an image with the loudest brightest and silence black', () => {
    const { width, height, pixels } = toSpectrogramImage(spectrogramOf([sine(1000, 1)]));
    expect([width, height]).toEqual([100, 96]);
    const column = Array.from({ length: height }, (_, y) => pixels[y * width + 50] ?? 0);
    expect(Math.max(...column)).toBe(255);
    const silence = toSpectrogramImage(spectrogramOf([new Float32Array(SAMPLE_RATE)]));
    expect(new Set(silence.pixels)).toEqual(new Set([0]));
  });
});

test('a PNG is read back by another reader, pixel by pixel', () => {
  const [width, height] = [37, 11];
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => (i * 89) % 256);
  const palette = Uint8Array.from({ length: 768 }, (_, i) => (i * 31) % 256);
  const read = PNG.sync.read(encodePng({ width, height, pixels, palette }));
  expect([read.width, read.height]).toEqual([width, height]);
  for (const [i, color] of pixels.entries()) {
    const rgb = [...palette.subarray(color * 3, color * 3 + 3)];
    expect([...read.data.subarray(i * 4, i * 4 + 4)]).toEqual([...rgb, 255]);
  }
});

describe('the time axis', () => {
  test.each<[number, number, string[]]>([
    [0, 0.2, ['0 s', '0.05 s', '0.1 s', '0.15 s', '0.2 s']],
    [0, 5, ['0 s', '0.5 s', '1 s', '1.5 s', '2 s', '2.5 s', '3 s', '3.5 s', '4 s', '4.5 s', '5 s']],
    [
      12.3,
      14.3,
      [
        '12.4 s',
        '12.6 s',
        '12.8 s',
        '13 s',
        '13.2 s',
        '13.4 s',
        '13.6 s',
        '13.8 s',
        '14 s',
        '14.2 s',
      ],
    ],
    [0, 90, ['0:00', '0:10', '0:20', '0:30', '0:40', '0:50', '1:00', '1:10', '1:20', '1:30']],
    [
      3500,
      10_800,
      [
        '1:00:00',
        '1:15:00',
        '1:30:00',
        '1:45:00',
        '2:00:00',
        '2:15:00',
        '2:30:00',
        '2:45:00',
        '3:00:00',
      ],
    ],
  ])('from %d to %d s has round times', (start, end, texts) => {
    expect(toTicks(start, end).map(({ text }) => text)).toEqual(texts);
  });

  test('is never crowded nor empty', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e5, noNaN: true }),
        fc.double({ min: 0.16, max: 1e6, noNaN: true }),
        (start, length) => {
          const ticks = toTicks(start, start + length);
          expect(ticks.length).toBeGreaterThanOrEqual(1);
          expect(ticks.length).toBeLessThanOrEqual(12);
          expect(new Set(ticks.map(({ text }) => text)).size).toBe(ticks.length);
        },
      ),
    );
  });
});
