import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitIntoWindows } from '../../src/audio/window.js';
import { ServiceError } from '../../src/errors.js';

const SAMPLE_RATE = 16_000;
const GRID = { windowSeconds: 10, minSamples: 2800 };
const ROW_SECONDS = 0.16;

/** A ramp: each sample holds its own index, so a view shows where it was cut. */
const ramp = (length: number) => ({
  samples: Float32Array.from({ length }, (_, index) => index),
  sampleRate: SAMPLE_RATE,
});
const rowsOf = (numSamples: number) => Math.floor((1 + Math.floor((numSamples - 400) / 160)) / 16);
const split = (numSamples: number) => splitIntoWindows(ramp(numSamples), GRID);

describe('splitIntoWindows', () => {
  it.each([
    [2_800, 1, 1],
    [160_000, 1, 62],
    [161_279, 1, 62],
    [161_520, 2, 63],
    [320_000, 2, 124],
    [976_000, 7, 381],
  ])('gives %i samples %i windows with %i rows', (numSamples, numWindows, numRows) => {
    const windows = split(numSamples);
    expect(windows).toHaveLength(numWindows);
    const total = windows.reduce((sum, window) => sum + rowsOf(window.samples.length), 0);
    expect(total).toBe(numRows);
    expect(total).toBe(rowsOf(numSamples));
  });

  it('lays the rows of all windows on the grid of a single run', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2_800, max: 1_000_000 }), (numSamples) => {
        let row = 0;
        for (const window of split(numSamples)) {
          expect(window.startSeconds).toBeCloseTo(row * ROW_SECONDS, 9);
          expect(window.samples[0]).toBe(row * 2_560);
          expect(window.durationSeconds).toBe(window.samples.length / SAMPLE_RATE);
          expect(window.samples.length).toBeLessThanOrEqual(160_000);
          row += rowsOf(window.samples.length);
        }
        expect(row).toBe(rowsOf(numSamples));
      }),
      { numRuns: 40 },
    );
  });

  it('holds views of the waveform, not copies', () => {
    const waveform = ramp(400_000);
    for (const window of splitIntoWindows(waveform, GRID)) {
      expect(window.samples.buffer).toBe(waveform.samples.buffer);
    }
  });

  it('refuses a clip that is shorter than one row', () => {
    expect(() => split(2_799)).toThrowError(
      expect.objectContaining({ code: 'clip_too_short', extensions: { min_seconds: 0.175 } }),
    );
    expect(() => split(2_799)).toThrowError(ServiceError);
  });
});
