import type { Activation } from '../inference/model-card.js';
import { createMax, createMean, createNoisyOr, type Pool } from './pool.js';
import { toScores } from './scores.js';

/** How the windows of a clip make one score. */
export type AggregateMethod = 'mean_logit' | 'mean' | 'max' | 'noisy_or';

/**
 * One clip's scores from the logits of its windows, in order and each with its rows as weight, so that a window never
 * weighs more than its audio. What is kept does not grow with the clip.
 *
 * - `mean_logit`: the activation of the mean logit over all rows, as if the model had heard the clip at once
 * - `mean`: the mean score
 * - `max`: the largest score of any window, whatever its length
 * - `noisy_or`: the chance that at least one window is right, were they independent; one that is shorter than the
 *   first, as the last may be, counts for its share of rows
 */
export function createAggregate(method: AggregateMethod, activation: Activation): Pool {
  if (method === 'mean_logit') {
    const mean = createMean();
    return { add: mean.add, result: () => toScores(mean.result(), activation) };
  }
  const pool = POOLS[method]();
  return {
    add: (logits, rows) => pool.add(toScores(logits, activation), rows),
    result: pool.result,
  };
}

const POOLS = { mean: createMean, max: createMax, noisy_or: createNoisyOr } as const;
