import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMax, createMean, createNoisyOr, type Pool } from '../../src/outputs/pool.js';

const chance = fc.float({ min: 0, max: Math.fround(0.99), noNaN: true });
const steps = fc.array(
  fc.record({ values: fc.tuple(chance, chance), weight: fc.integer({ min: 1, max: 62 }) }),
  {
    minLength: 1,
    maxLength: 30,
  },
);

function pooled(pool: Pool, given: readonly { values: number[]; weight: number }[]): number[] {
  for (const { values, weight } of given) pool.add(Float32Array.from(values), weight);
  return [...pool.result()];
}

describe('pools', () => {
  it('agree with their formulas', () => {
    fc.assert(
      fc.property(steps, (given) => {
        const total = given.reduce((sum, { weight }) => sum + weight, 0);
        const first = given[0]!.weight;
        const expected = [0, 1].map((i) => ({
          mean: given.reduce((sum, { values, weight }) => sum + (weight / total) * values[i]!, 0),
          max: Math.max(...given.map(({ values }) => values[i]!)),
          or:
            1 -
            given.reduce((p, { values, weight }) => p * (1 - values[i]!) ** (weight / first), 1),
        }));
        for (const i of [0, 1]) {
          expect(pooled(createMean(), given)[i]).toBeCloseTo(expected[i]!.mean, 5);
          expect(pooled(createMax(), given)[i]).toBe(expected[i]!.max);
          expect(pooled(createNoisyOr(), given)[i]).toBeCloseTo(expected[i]!.or, 5);
        }
      }),
    );
  });

  it('weighs a window by its rows', () => {
    const given = [
      { values: [1, 0], weight: 62 },
      { values: [0, 32], weight: 2 },
    ];
    expect(pooled(createMean(), given)).toEqual([0.96875, 1]);
  });

  it('takes certainty for what it is', () => {
    expect(pooled(createNoisyOr(), [{ values: [1, 0], weight: 5 }])).toEqual([1, 0]);
  });

  it.each([createMean, createMax, createNoisyOr])(
    'refuse to make something of nothing',
    (create) => {
      expect(() => create().result()).toThrow('at least one vector');
    },
  );
});
