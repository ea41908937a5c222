import { describe, expect, it } from 'vitest';
import { numRows, splitOutputs, toBatch } from '../../src/inference/batch.js';
import { wholeWindows } from '../audio/whole-windows.js';
import { largestDifference, windowOf } from './tiny-model.js';

describe('numRows', () => {
  it('counts what a list of frames gives', () => {
    for (const numSamples of [400, 2799, 2800, 2801, 5359, 5360, 16_000, 160_000, 1_296_000]) {
      const frames = [];
      for (let end = 400; end <= numSamples; end += 160) frames.push(end);
      expect(numRows(numSamples)).toBe(Math.floor(frames.length / 16));
    }
    expect(numRows(0)).toBe(0);
  });

  it('gives the windows of a clip together the rows of the whole clip', () => {
    for (const seconds of [0.175, 9.9, 10, 10.1, 20, 61]) {
      const clip = new Float32Array(seconds * 16_000);
      const windows = wholeWindows(clip);
      const rows = windows.map(({ samples }) => numRows(samples.length)).reduce((a, b) => a + b);
      expect(rows).toBe(numRows(clip.length));
    }
  });
});

describe('toBatch', () => {
  it('takes a lone window as it is', () => {
    const window = windowOf(1);
    const batch = toBatch([window], { size: 1, samples: 16_000 }, 2800);
    expect(batch.waveform).toBe(window.samples);
    expect(batch).toMatchObject({ numSamples: [16_000], numWindows: 1 });
  });

  it('pads windows and fills unused places with silence of one row', () => {
    const [a, b] = [windowOf(1, 2), windowOf(2, 3)];
    const batch = toBatch([a, b], { size: 4, samples: 32_000 }, 2800);
    expect(batch.numSamples).toEqual([16_000, 32_000, 2800, 2800]);
    expect(largestDifference(batch.waveform.subarray(0, 16_000), a.samples)).toBe(0);
    expect(batch.waveform.subarray(16_000, 32_000).every((x) => x === 0)).toBe(true);
    expect(largestDifference(batch.waveform.subarray(32_000, 64_000), b.samples)).toBe(0);
    expect(batch.waveform.subarray(64_000).every((x) => x === 0)).toBe(true);
  });

  it('refuses windows that do not fit', () => {
    const shape = { size: 1, samples: 16_000 };
    expect(() => toBatch([windowOf(0.1)], shape, 2800)).toThrow('2800 to 16000 samples, got 1600');
    expect(() => toBatch([windowOf(2)], shape, 2800)).toThrow('got 32000');
    expect(() => toBatch([windowOf(1), windowOf(1)], shape, 2800)).toThrow('1 to 1 windows, got 2');
  });
});

describe('splitOutputs', () => {
  const batch = toBatch([windowOf(0.5), windowOf(1)], { size: 4, samples: 16_000 }, 2800);

  it('gives each window its own valid rows', () => {
    // Each number says where it stands: place, row, column.
    const clip = Float32Array.from({ length: 4 * 2 }, (_, i) => 100 * Math.floor(i / 2) + (i % 2));
    const rows = Float32Array.from({ length: 4 * 6 * 2 }, (_, i) => {
      return 100 * Math.floor(i / 12) + 10 * (Math.floor(i / 2) % 6) + (i % 2);
    });
    const [first, second, ...others] = splitOutputs(batch, { clip_logits: clip, row_logits: rows });
    expect(others).toEqual([]);
    expect(first).toMatchObject({ rows: 3, finite: true });
    expect([...(first?.values.clip_logits ?? [])]).toEqual([0, 1]);
    expect([...(first?.values.row_logits ?? [])]).toEqual([0, 1, 10, 11, 20, 21]);
    expect(second?.rows).toBe(6);
    expect([...(second?.values.row_logits ?? [])].slice(-2)).toEqual([150, 151]);
    expect(second?.values).not.toHaveProperty('clip_embedding');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'marks the window with %s, not its neighbour',
    (bad) => {
      const clip = new Float32Array(8).fill(3e38);
      clip[3] = bad;
      const [first, second] = splitOutputs(batch, { clip_logits: clip });
      expect(first?.finite).toBe(true);
      expect(second).toMatchObject({ finite: false, values: {} });
    },
  );
});
