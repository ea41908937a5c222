import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CutWindow, WindowCutter } from '../../src/audio/window.js';
import { isSameSignal } from './clips.js';
import { wholeWindows } from './whole-windows.js';

const GRID = { sampleRate: 16_000, windowSeconds: 10, minSamples: 2800 };
const CLOCK = { startSeconds: 0, samplesPerSecond: 16_000 };
const ROW_SECONDS = 0.16;

/** A ramp: each sample holds its own index, so a window shows where it was cut. */
const ramp = (length: number, start = 0) => Float32Array.from({ length }, (_, i) => start + i);
const rowsOf = (numSamples: number) => Math.floor((1 + Math.floor((numSamples - 400) / 160)) / 16);

/** All windows of a signal that comes in pieces of these lengths, over and over. */
function cut(samples: Float32Array, pieces: readonly number[], pad = false): CutWindow[] {
  const cutter = new WindowCutter(GRID, CLOCK);
  const windows: CutWindow[] = [];
  for (let start = 0, count = 0; start < samples.length; count++) {
    const length = pieces[count % pieces.length] ?? 1;
    windows.push(...cutter.push(samples.subarray(start, start + length)));
    start += length;
  }
  return [...windows, ...cutter.flush(samples.length / GRID.sampleRate, { pad })];
}

describe('WindowCutter', () => {
  it.each([
    [2_800, 1, 1],
    [160_000, 1, 62],
    [161_279, 1, 62],
    [161_520, 2, 63],
    [320_000, 2, 124],
    [976_000, 7, 381],
  ])('gives %i samples %i windows with %i rows', (numSamples, numWindows, numRows) => {
    const windows = cut(ramp(numSamples), [4096]);
    expect(windows).toHaveLength(numWindows);
    const total = windows.reduce((sum, window) => sum + rowsOf(window.samples.length), 0);
    expect(total).toBe(numRows);
    expect(total).toBe(rowsOf(numSamples));
  });

  it('gives a stream in pieces of any size the windows of the whole', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 700_000 }), lengths, (numSamples, pieces) => {
        const samples = ramp(numSamples);
        const whole = wholeWindows(samples);
        const windows = cut(samples, [...pieces, 65_536]);
        expect(windows).toHaveLength(whole.length);
        for (const [index, window] of windows.entries()) {
          const expected = whole[index]!;
          expect(window).toMatchObject({ index, firstRow: 62 * index });
          expect(isSameSignal(window.samples, expected.samples)).toBe(true);
          expect(window.startSeconds).toBeCloseTo(window.firstRow * ROW_SECONDS, 9);
          const end = (expected.start + expected.samples.length) / 16_000;
          expect(window.endSeconds).toBeCloseTo(end, 9);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('fills up less than one row with silence where that is wished', () => {
    expect(cut(ramp(2_799), [1000])).toEqual([]);
    const [window, ...others] = cut(ramp(100, 1), [30], true);
    expect(others).toEqual([]);
    expect(window).toMatchObject({ index: 0, startSeconds: 0, endSeconds: 100 / 16_000 });
    expect(window?.samples).toHaveLength(2_800);
    expect(window?.samples.subarray(0, 101)).toEqual(Float32Array.of(...ramp(100, 1), 0));
  });

  it('keeps to the source’s clock where samples come a little too close', () => {
    // 0.075 % too many: the most that a rounded ratio of rates makes.
    const samplesPerSecond = 16_012;
    const cutter = new WindowCutter(GRID, { startSeconds: 0, samplesPerSecond });
    const windows: CutWindow[] = [];
    for (let second = 0; second < 3600; second++) {
      windows.push(...cutter.push(new Float32Array(samplesPerSecond).fill(second)));
    }
    windows.push(...cutter.flush(3600, { pad: false }));
    expect(windows).toHaveLength(363);
    for (const { samples, startSeconds, index } of windows) {
      expect(startSeconds).toBeCloseTo(index * 9.92, 9);
      // Each sample holds the second that it comes from.
      const behind = Math.round(startSeconds * samplesPerSecond) / samplesPerSecond;
      expect(samples[0]).toBe(Math.floor(behind + 1e-9));
    }
    expect(windows.at(-1)?.endSeconds).toBeCloseTo(3600, 9);
  });

  it('goes on where a change of the clock says', () => {
    const cutter = new WindowCutter(GRID, CLOCK);
    const windows = cutter.push(ramp(150_000));
    // A chain's first link: 9.375 s and, as resamplers do it, a sample more.
    cutter.push(ramp(1));
    cutter.setClock({ startSeconds: 9.375, samplesPerSecond: 16_000 });
    windows.push(...cutter.push(ramp(160_000, 1_000_000)));
    windows.push(...cutter.flush(19.375, { pad: false }));
    expect(windows.map(({ startSeconds }) => startSeconds)).toEqual([0, 9.92]);
    expect(windows[1]?.samples[0]).toBe(1_000_000 + (9.92 - 9.375) * 16_000);
  });

  it('finds a place that lies before a change by the clock before it', () => {
    const cutter = new WindowCutter(GRID, CLOCK);
    const windows = cutter.push(ramp(159_000));
    cutter.setClock({ startSeconds: 159_000 / 16_000, samplesPerSecond: 16_010 });
    windows.push(...cutter.push(ramp(160_000, 159_000)));
    expect(windows[0]?.samples).toHaveLength(160_000);
    expect(windows[1]?.samples[0]).toBe(158_720);
  });
});
