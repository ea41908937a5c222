import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createResampler, joinSamples } from '../../src/audio/resample.js';
import { designFilter, nearestFraction } from '../../src/audio/resample-filter.js';
import { isSameSignal } from './clips.js';
import { decibels, rootMeanSquare, sineFit, tone } from './signals.js';

const TO_HZ = 16_000;

function resample(samples: Float32Array, fromHz: number, toHz = TO_HZ): Float32Array {
  const resampler = createResampler({ fromHz, toHz });
  return joinSamples([resampler.push(samples), resampler.flush()]);
}

/** The same filter in float64, written as its definition: one sum per output. */
function resampleByDefinition(samples: Float32Array, fromHz: number): Float64Array {
  const { taps, phases, stride, table } = designFilter(fromHz, TO_HZ);
  const length = Math.ceil((samples.length * phases) / stride);
  return Float64Array.from({ length }, (_, output) => {
    const first = Math.floor((output * stride) / phases) - (taps / 2 - 1);
    const phase = (output * stride) % phases;
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      sum += (samples[first + tap] ?? 0) * table[phase * taps + tap]!;
    }
    return sum;
  });
}

const noise = (length: number) => {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
};

/** All but the ends, where the filter reaches beyond the signal. */
const inner = (samples: Float32Array, edge: number) => samples.subarray(edge, -edge);

describe('createResampler', () => {
  it.each([8_000, 11_025, 22_050, 32_000, 44_099, 44_100, 48_000, 96_000])(
    'agrees with the definition in float64 at %i Hz',
    (fromHz) => {
      const samples = noise(Math.round(fromHz / 20));
      const expected = resampleByDefinition(samples, fromHz);
      const actual = resample(samples, fromHz);
      expect(actual).toHaveLength(expected.length);
      const worst = actual.reduce((max, v, i) => Math.max(max, Math.abs(v - expected[i]!)), 0);
      expect(worst).toBeLessThan(1e-6);
    },
  );

  it.each([8_000, 44_100, 48_000])(
    'keeps a tone in its place with an SNR of 120 dB at %i Hz',
    (fromHz) => {
      const [hz, amplitude] = [997, 0.8];
      const actual = resample(tone({ hz, amplitude, sampleRate: fromHz, seconds: 1 }), fromHz);
      const expected = tone({ hz, amplitude, sampleRate: TO_HZ, seconds: 1 });
      const error = inner(
        actual.map((value, index) => value - expected[index]!),
        800,
      );
      const snr = decibels(amplitude / Math.SQRT2) - decibels(rootMeanSquare(error));
      expect(snr).toBeGreaterThan(120);
    },
  );

  it.each([100, 3_000, 7_500])('passes %i Hz unchanged within 0.001 dB', (hz) => {
    const samples = tone({ hz, amplitude: 0.5, sampleRate: 44_100, seconds: 0.5 });
    const { amplitude } = sineFit(inner(resample(samples, 44_100), 800), { hz, sampleRate: TO_HZ });
    expect(Math.abs(decibels(amplitude / 0.5))).toBeLessThan(0.001);
  });

  it.each([
    [44_100, 8_050],
    [44_100, 12_000],
    [44_100, 20_000],
    [48_000, 8_500],
    [96_000, 30_000],
  ])('rejects from %i Hz the alias of a tone at %i Hz by 100 dB', (fromHz, hz) => {
    const samples = tone({ hz, amplitude: 1, sampleRate: fromHz, seconds: 0.5 });
    const left = rootMeanSquare(inner(resample(samples, fromHz), 800));
    expect(decibels(left * Math.SQRT2)).toBeLessThan(-100);
  });

  it('leaves no image of a tone above the old band', () => {
    const samples = tone({ hz: 3_000, amplitude: 1, sampleRate: 8_000, seconds: 0.5 });
    const image = sineFit(inner(resample(samples, 8_000), 800), { hz: 5_000, sampleRate: TO_HZ });
    expect(decibels(image.amplitude)).toBeLessThan(-100);
  });

  it('gives the same bits for pieces of any size', () => {
    const samples = noise(30_000);
    const whole = resample(samples, 44_100);
    const sizes = fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(sizes, (pieceSizes) => {
        const resampler = createResampler({ fromHz: 44_100, toHz: TO_HZ });
        const outputs: Float32Array[] = [];
        for (let start = 0, piece = 0; start < samples.length; piece++) {
          const size = pieceSizes[piece % pieceSizes.length]!;
          outputs.push(resampler.push(samples.subarray(start, start + size)));
          start += size;
        }
        outputs.push(resampler.flush());
        expect(isSameSignal(joinSamples(outputs), whole)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it('keeps two signals of one rate apart', () => {
    const [a, b] = [noise(9_000), noise(9_000).map((value) => -value / 2)];
    const [first, second] = [a, b].map(() => createResampler({ fromHz: 48_000, toHz: TO_HZ }));
    const outputs: Float32Array[][] = [[], []];
    for (let start = 0; start < a.length; start += 1_000) {
      outputs[0]!.push(first!.push(a.subarray(start, start + 1_000)));
      outputs[1]!.push(second!.push(b.subarray(start, start + 1_000)));
    }
    outputs[0]!.push(first!.flush());
    outputs[1]!.push(second!.flush());
    expect(isSameSignal(joinSamples(outputs[0]!), resample(a, 48_000))).toBe(true);
    expect(isSameSignal(joinSamples(outputs[1]!), resample(b, 48_000))).toBe(true);
  });

  it('gives ceil(n toHz / fromHz) samples', () => {
    const rates = fc.constantFrom(1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000);
    fc.assert(
      fc.property(rates, fc.integer({ min: 0, max: 12_000 }), (fromHz, numSamples) => {
        const expected = Math.ceil((numSamples * TO_HZ) / fromHz);
        expect(resample(new Float32Array(numSamples), fromHz)).toHaveLength(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a rate that is no whole number of Hz', () => {
    expect(() => createResampler({ fromHz: 0, toHz: TO_HZ })).toThrow('Expected a rate in Hz');
    expect(() => createResampler({ fromHz: 44_100.5, toHz: TO_HZ })).toThrow('44100.5');
  });
});

describe('nearestFraction', () => {
  it.each([
    [44_100, 16_000, 441, 160],
    [48_000, 16_000, 3, 1],
    [11_025, 16_000, 441, 640],
    [8_000, 16_000, 1, 2],
  ])('reduces %i / %i exactly', (dividend, divisor, numerator, denominator) => {
    expect(nearestFraction(dividend, divisor, 640)).toEqual({ numerator, denominator });
  });

  it('finds what a search of all fractions finds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 768_000 }), (fromHz) => {
        const value = fromHz / TO_HZ;
        const error = (n: number, d: number) => Math.abs(n / d - value);
        const found = nearestFraction(fromHz, TO_HZ, 640);
        let best = Number.POSITIVE_INFINITY;
        for (let d = 1; d <= 640; d++) best = Math.min(best, error(Math.round(value * d), d));
        expect(found.denominator).toBeLessThanOrEqual(640);
        expect(error(found.numerator, found.denominator)).toBeCloseTo(best, 12);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps the table of any rate below 4 MB', () => {
    for (const fromHz of [1_001, 44_099, 176_399, 383_999, 767_999]) {
      const { table, taps, phases } = designFilter(fromHz, TO_HZ);
      expect(table.length).toBe(taps * phases);
      expect(table.byteLength).toBeLessThanOrEqual(4 * 2 ** 20);
    }
  });
});

describe('resample-kernel.ts', () => {
  it('is what the text form of the kernel assembles to', async () => {
    const script = new URL('../../scripts/build-resample-kernel.mjs', import.meta.url);
    const { buildKernelModule } = await import(script.href);
    const committed = new URL('../../src/audio/resample-kernel.ts', import.meta.url);
    expect(await buildKernelModule()).toBe(await readFile(committed, 'utf8'));
  });
});
