/** What the page draws, worked out in a second, slower way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPowerSpectrum } from '../../page/fft.js';
import { heightOf, toSpectrogram } from '../../page/spectrogram.js';
import { shareOf, toWaveformColumns } from '../../page/waveform-columns.js';
import { tone } from '../audio/signals.js';

const SAMPLE_RATE = 16_000;

/** The definition, without any trick: (samples) -> power of size / 2 + 1 frequencies. */
function naivePower(frame: Float32Array): number[] {
  const size = frame.length;
  return Array.from({ length: size / 2 + 1 }, (_, k) => {
    let [re, im] = [0, 0];
    for (const [n, sample] of frame.entries()) {
      re += sample * Math.cos((2 * Math.PI * k * n) / size);
      im -= sample * Math.sin((2 * Math.PI * k * n) / size);
    }
    return re ** 2 + im ** 2;
  });
}

const samples = (length: number) =>
  fc
    .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: length, maxLength: length })
    .map((values) => Float32Array.from(values));

describe('power spectrum', () => {
  test.each([2, 8, 64, 512])('of %i samples is that of the definition', (size) => {
    const spectrum = createPowerSpectrum(size);
    const check = fc.property(samples(size), (frame) => {
      const expected = naivePower(frame);
      const got = spectrum(frame);
      for (const [k, power] of expected.entries()) {
        expect(Math.abs(got[k]! - power)).toBeLessThan(1e-5 * size * (1 + power));
      }
    });
    fc.assert(check, { numRuns: size > 100 ? 5 : 50 });
  });

  test('of a size that is no power of two is refused', () => {
    expect(() => createPowerSpectrum(500)).toThrow('Expected a power of two, got 500');
  });
});

describe('waveform columns', () => {
  test('hold the extremes of their share, and every sample is in one', () => {
    const anything = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 300 }));
    const check = fc.property(anything, ([columns, length]) => {
      const sound = Float32Array.from({ length }, (_, i) => Math.sin(i * i));
      const { lowest, highest } = toWaveformColumns(sound, columns);
      let seen = 0;
      for (let column = 0; column < columns; column++) {
        const [from, to] = shareOf(column, { columns, samples: length });
        expect(from).toBe(seen);
        seen = to;
        const share = sound.subarray(from, Math.max(to, from + 1));
        expect(highest[column]).toBe(Math.max(...share));
        expect(lowest[column]).toBe(Math.min(...share));
      }
      expect(seen).toBe(length);
    });
    fc.assert(check);
  });

  test('of nothing are flat', () => {
    const { lowest, highest } = toWaveformColumns(new Float32Array(), 3);
    expect([...lowest, ...highest]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe('spectrogram', () => {
  const options = { sampleRate: SAMPLE_RATE, columns: 50, bands: 80 };

  /** Level at a column and band. */
  const levelAt = (sound: Float32Array, column: number, band: number) =>
    toSpectrogram(sound, options).levels[column * options.bands + band]!;

  test.each([125, 440, 1000, 3000, 7000])('a tone of %i Hz is brightest at its height', (hz) => {
    const sound = tone({ hz, amplitude: 0.3, sampleRate: SAMPLE_RATE, seconds: 1 });
    const { levels, bands } = toSpectrogram(sound, options);
    const column = levels.subarray(25 * bands, 26 * bands);
    const brightest = column.indexOf(255);
    expect(brightest).toBeGreaterThanOrEqual(0);
    const height = (brightest + 1) / (bands + 1);
    // A bin of 31 Hz is wider than a band at the bottom.
    const tolerance = Math.max(
      1 / bands,
      heightOf(hz + 31.25, SAMPLE_RATE) - heightOf(hz, SAMPLE_RATE),
    );
    expect(Math.abs(height - heightOf(hz, SAMPLE_RATE))).toBeLessThanOrEqual(tolerance);
  });

  test('20 dB less is as much darker as the scale says', () => {
    const loud = tone({ hz: 1000, amplitude: 0.5, sampleRate: SAMPLE_RATE, seconds: 1 });
    const sound = new Float32Array(2 * loud.length);
    sound.set(loud);
    sound.set(
      loud.map((sample) => sample / 10),
      loud.length,
    );
    const band = toSpectrogram(sound, options).levels.indexOf(255) % options.bands;
    const [first, second] = [levelAt(sound, 10, band), levelAt(sound, 40, band)];
    expect(first - second).toBeCloseTo((255 * 20) / 70, -0.5);
  });

  test('a click is seen wherever it falls, in its own column, in a long sound too', () => {
    const length = 50 * 16_000;
    const check = fc.property(fc.integer({ min: 0, max: length - 1 }), (at) => {
      const sound = new Float32Array(length);
      sound[at] = 1;
      const { levels, bands, columns } = toSpectrogram(sound, options);
      const brightest = Math.floor(levels.indexOf(255) / bands);
      const share = at / (length / columns);
      // Near a border a frame of the neighbour may see it better.
      expect(Math.abs(brightest + 0.5 - share)).toBeLessThan(0.5 + 512 / (length / columns));
    });
    fc.assert(check, { numRuns: 8 });
  });

  test('silence is dark, and so is no sound at all', () => {
    for (const sound of [new Float32Array(8000), new Float32Array()]) {
      expect(Math.max(...toSpectrogram(sound, options).levels)).toBe(0);
    }
  });
});
