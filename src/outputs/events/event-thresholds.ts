import type { Label } from '../../inference/model-card.js';
import { type ThresholdChoice, toThresholds } from '../thresholds.js';

/** Where events of each label start and end; in the order of the labels. */
export interface EventThresholds {
  readonly on: Float64Array;
  readonly off: Float64Array;
}

const OFF_SHARE = 0.5;

/**
 * The two thresholds of every label.
 *
 * @param off by default half of `on`; never above it, or events would end before they start
 */
export function toEventThresholds(
  labels: readonly Label[],
  { on: choice, off }: { on: ThresholdChoice; off?: number | undefined },
): EventThresholds {
  const on = toThresholds(labels, choice);
  return { on, off: on.map((score) => Math.min(score, off ?? OFF_SHARE * score)) };
}
