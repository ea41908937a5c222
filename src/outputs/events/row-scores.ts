import type { Activation, Label } from '../../inference/model-card.js';
import { toScores } from '../scores.js';

/**
 * Scores of the chosen labels, row by row: (rows, all labels) logits to rows of (chosen) scores.
 *
 * @param chosen any labels of the card, in any order
 */
export function toRowScores(
  rowLogits: Float32Array,
  { numLabels, chosen, activation }: RowColumns,
): Float32Array[] {
  const columns = chosen.map(({ classIndex }) => classIndex);
  return Array.from({ length: rowLogits.length / numLabels }, (_, row) => {
    const logits = rowLogits.subarray(row * numLabels, (row + 1) * numLabels);
    if (activation === 'sigmoid') return toScores(pick(logits, columns), activation);
    // Of labels that share one whole, every one counts, asked for or not.
    return pick(toScores(logits, activation), columns);
  });
}

export interface RowColumns {
  /** Columns of the logits. */
  readonly numLabels: number;
  readonly chosen: readonly Label[];
  readonly activation: Activation;
}

function pick(values: Float32Array, columns: readonly number[]): Float32Array {
  return Float32Array.from(columns, (column) => values[column] ?? 0);
}
