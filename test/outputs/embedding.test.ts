import { describe, expect, it } from 'vitest';
import { toUnitLength } from '../../src/outputs/embedding.js';

describe('toUnitLength', () => {
  it.each([
    ['an ordinary vector', [3, -4]],
    ['a very small one', [3e-30, -4e-30]],
    ['a very large one', [3e30, -4e30]],
  ])('keeps the direction of %s', (_name, vector) => {
    const unit = toUnitLength(Float32Array.from(vector));
    expect(unit[0]).toBeCloseTo(0.6, 6);
    expect(unit[1]).toBeCloseTo(-0.8, 6);
  });

  it('leaves a zero vector zero', () => {
    expect([...toUnitLength(new Float32Array(3))]).toEqual([0, 0, 0]);
  });

  it('does not change what it is given', () => {
    const vector = Float32Array.of(3, 4);
    toUnitLength(vector);
    expect([...vector]).toEqual([3, 4]);
  });
});
