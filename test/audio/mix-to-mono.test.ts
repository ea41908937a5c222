import { describe, expect, it } from 'vitest';
import { clampSamples, mixToMono } from '../../src/audio/mix-to-mono.js';

describe('mixToMono', () => {
  it('takes the plain mean of any number of channels', () => {
    const channels = [0.5, -0.25, 1, 0.75].map((value) => Float32Array.of(value, -value, 0));
    for (const count of [1, 2, 3, 4]) {
      const used = channels.slice(0, count);
      const mean = used.reduce((sum, samples) => sum + samples[0]!, 0) / count;
      expect(mixToMono(used)).toEqual(Float32Array.of(mean, -mean, 0));
    }
  });

  it('takes NaN for silence and all else beyond full scale for full scale', () => {
    const wild = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, -1e38, 56_739, -1.5);
    const silent = new Float32Array(wild.length);
    expect(mixToMono([wild])).toEqual(Float32Array.of(0, 1, -1, 1, -1));
    expect(mixToMono([wild, silent])).toEqual(Float32Array.of(0, 0.5, -0.5, 0.5, -0.5));
    expect(mixToMono([silent, silent, wild, silent])).toEqual(
      Float32Array.of(0, 0.25, -0.25, 0.25, -0.25),
    );
    expect(clampSamples(wild)).toEqual(Float32Array.of(0, 1, -1, 1, -1));
  });

  it('leaves its input alone', () => {
    const samples = Float32Array.of(2, -2);
    mixToMono([samples]);
    expect(samples).toEqual(Float32Array.of(2, -2));
  });
});
