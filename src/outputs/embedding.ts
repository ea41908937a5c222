/** The same direction with length 1, so that a dot product is a cosine; a zero vector stays zero. */
export function toUnitLength(embedding: Float32Array): Float32Array {
  // Scaled by the largest first: squares of very small or large values would leave the range.
  const largest = embedding.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  if (largest === 0) return embedding.slice();
  const scaled = Float64Array.from(embedding, (value) => value / largest);
  const length = Math.sqrt(scaled.reduce((sum, value) => sum + value * value, 0));
  return Float32Array.from(scaled, (value) => value / length);
}
