/** Lowest and highest sample of each column of a picture. */
export interface WaveformColumns {
  readonly lowest: Float32Array;
  readonly highest: Float32Array;
}

/** (samples) -> so many columns, each over its equal share of the samples; every sample is in one. */
export function toWaveformColumns(samples: Float32Array, columns: number): WaveformColumns {
  const lowest = new Float32Array(columns);
  const highest = new Float32Array(columns);
  for (let column = 0; column < columns; column++) {
    const [from, to] = shareOf(column, { columns, samples: samples.length });
    let [low, high] = [samples[from] ?? 0, samples[from] ?? 0];
    for (let i = from + 1; i < to; i++) {
      low = Math.min(low, samples[i]!);
      high = Math.max(high, samples[i]!);
    }
    lowest[column] = low;
    highest[column] = high;
  }
  return { lowest, highest };
}

/** First sample of a column, and the first that is the next column's. */
export function shareOf(
  column: number,
  { columns, samples }: { columns: number; samples: number },
): [from: number, to: number] {
  return [Math.floor((column * samples) / columns), Math.floor(((column + 1) * samples) / columns)];
}
