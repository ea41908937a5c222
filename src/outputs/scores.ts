import type { Activation } from '../inference/model-card.js';

/**
 * Logits to scores in [0, 1]: sigmoid for labels that may hold together, softmax for one that holds.
 *
 * Neither overflows, however large the logits are.
 */
export function toScores(logits: Float32Array, activation: Activation): Float32Array {
  return activation === 'sigmoid' ? logits.map(sigmoid) : softmax(logits);
}

function sigmoid(logit: number): number {
  const exponential = Math.exp(-Math.abs(logit));
  return (logit < 0 ? exponential : 1) / (1 + exponential);
}

function softmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = logits.map((logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}
