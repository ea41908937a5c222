/** Far below the last bit of 24: what a float file may hold, and nobody hears. */
const LOWEST_DBFS = -200;

/**
 * Level of the sound in each row: 20 log10 of the root mean square, in dBFS.
 *
 * @param samples of one window in [-1, 1], from the start of its first row
 * @param rows its valid rows
 * @returns (rows); -200 for digital silence
 */
export function toRowLevels(
  samples: Float32Array,
  { rows, rowSamples }: { rows: number; rowSamples: number },
): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    const piece = samples.subarray(row * rowSamples, (row + 1) * rowSamples);
    let sumOfSquares = 0;
    for (const sample of piece) sumOfSquares += sample * sample;
    return Math.max(LOWEST_DBFS, 10 * Math.log10(sumOfSquares / rowSamples));
  });
}
