/** Lowest and highest sample of a stretch. */
export interface WaveColumn {
  readonly low: number;
  readonly high: number;
}

export interface Waveform {
  readonly columns: readonly WaveColumn[];
  /** The last column may be a part of one: its share counts here. */
  readonly numColumns: number;
}

const FIRST_COLUMN_SAMPLES = 80;

/**
 * The outline of a waveform in a bounded number of columns, as a stream.
 *
 * Whenever there are too many, pairs of neighbours become one: no sample is lost from the outline,
 * however long the clip is.
 */
export class WaveColumns {
  readonly #maxColumns: number;
  #columns: WaveColumn[] = [];
  #columnSamples = FIRST_COLUMN_SAMPLES;
  /** The column that is not full yet. */
  #open: { low: number; high: number; numSamples: number } | undefined;

  /** @param maxColumns an even number */
  constructor(maxColumns: number) {
    this.#maxColumns = maxColumns;
  }

  push(samples: Float32Array): void {
    for (const sample of samples) {
      this.#open ??= { low: sample, high: sample, numSamples: 0 };
      if (sample < this.#open.low) this.#open.low = sample;
      if (sample > this.#open.high) this.#open.high = sample;
      this.#open.numSamples += 1;
      if (this.#open.numSamples >= this.#columnSamples) this.#close();
    }
  }

  finish(): Waveform {
    if (this.#open === undefined) {
      return { columns: this.#columns, numColumns: this.#columns.length };
    }
    const numColumns = this.#columns.length + this.#open.numSamples / this.#columnSamples;
    return { columns: [...this.#columns, this.#open], numColumns };
  }

  #close(): void {
    const { low, high } = this.#open as WaveColumn;
    this.#columns.push({ low, high });
    this.#open = undefined;
    if (this.#columns.length < this.#maxColumns) return;
    this.#columns = mergePairs(this.#columns, (a, b) => ({
      low: Math.min(a.low, b.low),
      high: Math.max(a.high, b.high),
    }));
    this.#columnSamples *= 2;
  }
}

/** Each two neighbours made one; an odd one out stays. */
export function mergePairs<T>(columns: readonly T[], merge: (a: T, b: T) => T): T[] {
  const merged: T[] = [];
  for (let i = 0; i < columns.length; i += 2) {
    const [a, b] = [columns[i] as T, columns[i + 1]];
    merged.push(b === undefined ? a : merge(a, b));
  }
  return merged;
}
