import type { WindowOutput } from '../inference/batch.js';

/**
 * One clip's logits or embedding from those of its windows: their mean, each weighed by its rows.
 *
 * That is the mean over all rows of the clip, so a window never weighs more than its audio.
 *
 * @throws Error when there is no window, or one lacks the output
 */
export function aggregateWindows(
  windows: readonly WindowOutput[],
  output: 'clip_logits' | 'clip_embedding',
): Float32Array {
  const totalRows = windows.reduce((sum, { rows }) => sum + rows, 0);
  if (totalRows === 0) throw new Error('Expected at least one row, got none');
  // Sums in double: hundreds of windows keep their precision.
  let sums: Float64Array | undefined;
  for (const { rows, values } of windows) {
    const vector = values[output];
    if (vector === undefined) throw new Error(`Expected ${output} of every window`);
    sums ??= new Float64Array(vector.length);
    addWeighted(sums, vector, rows / totalRows);
  }
  return Float32Array.from(sums ?? []);
}

function addWeighted(sums: Float64Array, vector: Float32Array, weight: number): void {
  for (const [i, value] of vector.entries()) sums[i] = (sums[i] ?? 0) + weight * value;
}
