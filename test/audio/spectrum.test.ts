import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PowerSpectrum } from '../../src/audio/spectrum.js';
import { tone } from './signals.js';

const SIZE = 64;
const spectrum = new PowerSpectrum(SIZE);

/** The same by the definition of the transform. */
function slowSpectrum(samples: Float32Array): number[] {
  return Array.from({ length: SIZE / 2 + 1 }, (_, bin) => {
    let [real, imaginary] = [0, 0];
    samples.forEach((sample, index) => {
      const turn = (2 * Math.PI * index) / SIZE;
      const windowed = (sample * (1 - Math.cos(turn))) / 2;
      real += windowed * Math.cos(bin * turn);
      imaginary -= windowed * Math.sin(bin * turn);
    });
    return ((real * real + imaginary * imaginary) * 16) / SIZE ** 2;
  });
}

describe('PowerSpectrum', () => {
  it('is the square of the windowed transform', () => {
    const frame = fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { maxLength: SIZE });
    fc.assert(
      fc.property(frame, (values) => {
        const samples = Float32Array.from(values);
        const expected = slowSpectrum(samples);
        for (const [bin, power] of spectrum.of(samples).entries()) {
          expect(power).toBeCloseTo(expected[bin] ?? Number.NaN, 5);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('gives a sine of full scale 0 dBFS in its bin', () => {
    const samples = tone({ hz: 1000, amplitude: 1, sampleRate: 8000, seconds: SIZE / 8000 });
    const powers = spectrum.of(samples);
    expect(powers[8]).toBeCloseTo(1, 5);
    expect(powers.indexOf(Math.max(...powers))).toBe(8);
    expect(powers).toHaveLength(spectrum.bins);
  });
});
