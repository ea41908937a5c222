import type { Label } from '../inference/model-card.js';

/** Where a label is taken for present when its card names no threshold: as likely as not. */
const MIDDLE = 0.5;

/** One threshold for all labels, or `auto`: each label's own. */
export type ThresholdChoice = number | 'auto';

/**
 * Least score of each label, by class index.
 *
 * `auto` takes the threshold of the model card, and 0.5 for a label that has none there.
 */
export function toThresholds(labels: readonly Label[], choice: ThresholdChoice): Float64Array {
  return Float64Array.from(labels, ({ threshold }) =>
    choice === 'auto' ? (threshold ?? MIDDLE) : choice,
  );
}
