import { describe, expect, it } from 'vitest';
import { bucketedPlan, lonePlan } from '../../src/inference/batch-plan.js';
import { windowOf } from './tiny-model.js';

describe('lonePlan', () => {
  it('runs each window alone, of its true length', () => {
    const window = windowOf(0.3);
    expect(lonePlan.maxWindows).toBe(1);
    expect(lonePlan.shapeFor([window])).toEqual({ size: 1, samples: window.samples.length });
    expect(lonePlan.accepts(window, window)).toBe(false);
  });
});

describe('bucketedPlan', () => {
  // Given out of order on purpose.
  const plan = bucketedPlan({ sizes: [4, 1, 16], lengthsSamples: [160_000, 32_000] });

  it('takes the smallest size and length that hold the windows', () => {
    const short = windowOf(1);
    const long = windowOf(2.1);
    expect(plan.shapeFor([short])).toEqual({ size: 1, samples: 32_000 });
    expect(plan.shapeFor([short, short])).toEqual({ size: 4, samples: 32_000 });
    expect(plan.shapeFor([long, short, short, short, short])).toEqual({
      size: 16,
      samples: 160_000,
    });
  });

  it('lets windows of the same bucket or a shorter one join', () => {
    expect(plan.accepts(windowOf(0.5), windowOf(2))).toBe(true);
    expect(plan.accepts(windowOf(9), windowOf(2))).toBe(true);
    expect(plan.accepts(windowOf(2), windowOf(2.1))).toBe(false);
  });

  it('has every shape once, the most costly first', () => {
    expect(plan.shapes.map(({ size, samples }) => [size, samples / 16_000])).toEqual([
      [16, 10],
      [4, 10],
      [16, 2],
      [1, 10],
      [4, 2],
      [1, 2],
    ]);
  });

  it('refuses what no bucket holds', () => {
    expect(() => plan.shapeFor([windowOf(10.1)])).toThrow('at most 160000, got 161600');
  });
});
