/** The same direction with length 1, so that a dot product is a cosine; a zero vector stays zero. */
export function toUnitLength(embedding: Float32Array): Float32Array {
  // In double, where squares of float32 values neither overflow nor vanish.
  let sumOfSquares = 0;
  for (const value of embedding) sumOfSquares += value * value;
  const length = Math.sqrt(sumOfSquares);
  return length === 0 ? embedding.slice() : embedding.map((value) => value / length);
}

/** The largest value of each column: (rows, dim) -> (dim). */
export function largestOfRows(rows: Float32Array, dim: number): Float32Array {
  const largest = rows.slice(0, dim);
  for (let i = dim; i < rows.length; i++) {
    const value = rows[i] ?? 0;
    if (value > (largest[i % dim] ?? 0)) largest[i % dim] = value;
  }
  return largest;
}
