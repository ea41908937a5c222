import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toScores } from '../../src/outputs/scores.js';

const logits = fc.float32Array({ min: -1e4, max: 1e4, noNaN: true, minLength: 1, maxLength: 20 });

describe('toScores', () => {
  it('lets several labels hold at once under sigmoid', () => {
    const scores = toScores(Float32Array.of(3, 3, -3, 0), 'sigmoid');
    const expected = [3, 3, -3, 0].map((logit) => 1 / (1 + Math.exp(-logit)));
    expected.forEach((score, i) => {
      expect(scores[i]).toBeCloseTo(score, 6);
    });
    expect(scores[0]! > 0.5 && scores[1]! > 0.5).toBe(true);
  });

  it('shares one among the labels under softmax', () => {
    const scores = toScores(Float32Array.of(1, 2, 3), 'softmax');
    const sum = Math.exp(1) + Math.exp(2) + Math.exp(3);
    [1, 2, 3].forEach((logit, i) => {
      expect(scores[i]).toBeCloseTo(Math.exp(logit) / sum, 6);
    });
  });

  it.each(['sigmoid', 'softmax'] as const)(
    'stays in [0, 1] and keeps the order of any logits: %s',
    (activation) => {
      fc.assert(
        fc.property(logits, (values) => {
          const scores = toScores(values, activation);
          expect(scores.every((score) => score >= 0 && score <= 1)).toBe(true);
          for (const [i, a] of values.entries()) {
            for (const [j, b] of values.entries())
              if (a >= b) expect(scores[i]! >= scores[j]!).toBe(true);
          }
          const sum = scores.reduce((a, b) => a + b, 0);
          if (activation === 'softmax') expect(sum).toBeCloseTo(1, 4);
        }),
      );
    },
  );
});
