/** What is known of one row of the grid. */
export interface Row {
  /** (labels) as the model gave them. */
  readonly scores: Float32Array;
  /** Level of the sound in it, in dBFS. */
  readonly levelDbfs: number;
  /** On the clock of the recording; the next row starts where this one ends. */
  readonly startSeconds: number;
  readonly endSeconds: number;
}

export interface SmoothRow extends Row {
  /** (labels) mean over the rows around it. */
  readonly smooth: Float32Array;
}

/**
 * Centred moving mean over rows, as a stream: the mean of a row is known once the rows after it are.
 *
 * At both ends of the clip it is the mean over the rows that there are.
 */
export class RowSmoother {
  readonly #halfRows: number;
  /** The rows that means to come are made of, oldest first. */
  readonly #rows: Row[] = [];
  /** Place in `#rows` of the next row to be smoothed. */
  #next = 0;

  /** @param spanRows rows of a mean; an even number counts as one less, so that the row is its centre */
  constructor(spanRows: number) {
    this.#halfRows = Math.max(0, Math.floor((spanRows - 1) / 2));
  }

  /** The row that this one completes, if there is one. */
  push(row: Row): SmoothRow | undefined {
    this.#rows.push(row);
    return this.#rows.length - this.#next > this.#halfRows ? this.#smoothNext() : undefined;
  }

  /** The rows that wait for others, which do not come. */
  *finish(): Generator<SmoothRow> {
    while (this.#next < this.#rows.length) yield this.#smoothNext();
  }

  #smoothNext(): SmoothRow {
    const row = this.#rows[this.#next] as Row;
    const around = this.#rows.slice(0, this.#next + this.#halfRows + 1);
    if (this.#next < this.#halfRows) this.#next += 1;
    else this.#rows.shift();
    return { ...row, smooth: meanOf(around, row.scores.length) };
  }
}

/** In double, and always summed in the same order: pieces of any size give the same bits. */
function meanOf(rows: readonly Row[], numLabels: number): Float32Array {
  const [only] = rows;
  if (rows.length === 1 && only) return only.scores;
  const sums = new Float64Array(numLabels);
  for (const { scores } of rows) {
    for (let i = 0; i < numLabels; i++) sums[i] = (sums[i] ?? 0) + (scores[i] ?? 0);
  }
  return Float32Array.from(sums, (sum) => sum / rows.length);
}
