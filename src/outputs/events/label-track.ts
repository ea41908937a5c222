/** A stretch of rows in which a label holds. */
export interface Span {
  readonly firstRow: number;
  /** The row after the last. */
  readonly endRow: number;
  /** Largest and mean score of its rows. */
  readonly score: number;
  readonly scoreMean: number;
}

export interface TrackOptions {
  /** A span starts at a row with at least this score ... */
  readonly on: number;
  /** ... and ends before a row with less than this one. */
  readonly off: number;
  /** Spans with at most so many rows between them are one. */
  readonly gapRows: number;
  /** Shorter spans, once merged, are none. */
  readonly minRows: number;
}

/** Rows that follow one another, and what was seen in them. */
interface Stretch {
  numRows: number;
  largest: number;
  sum: number;
}

/**
 * Follows one label from row to row: hysteresis, then merging, then the least length.
 *
 * Holds one open span, however long the clip is. A span is told as soon as no later row can join it.
 */
export class LabelTrack {
  readonly #options: TrackOptions;
  #row = 0;
  #isOn = false;
  #firstRow = 0;
  /** Undefined: no span is open. */
  #open: Stretch | undefined;
  /** Rows since the open span was last on. */
  #gap = emptyStretch();

  constructor(options: TrackOptions) {
    this.#options = options;
  }

  /**
   * Takes the next row.
   *
   * @param decisive score that is held to the thresholds
   * @param score the row's own, for the span's numbers
   */
  push(decisive: number, score: number): Span | undefined {
    const { on, off, gapRows } = this.#options;
    this.#isOn = decisive >= (this.#isOn ? off : on);
    if (this.#isOn) this.#extend(score);
    else if (this.#open) add(this.#gap, score);
    this.#row += 1;
    return this.#open && this.#gap.numRows > gapRows ? this.#close() : undefined;
  }

  /** The span that was still open at the end of the clip. */
  finish(): Span | undefined {
    return this.#open && this.#close();
  }

  #extend(score: number): void {
    if (this.#open === undefined) {
      this.#open = emptyStretch();
      this.#firstRow = this.#row;
    }
    join(this.#open, this.#gap);
    this.#gap = emptyStretch();
    add(this.#open, score);
  }

  #close(): Span | undefined {
    const { numRows, largest, sum } = this.#open as Stretch;
    this.#open = undefined;
    this.#gap = emptyStretch();
    if (numRows < this.#options.minRows) return undefined;
    const firstRow = this.#firstRow;
    return { firstRow, endRow: firstRow + numRows, score: largest, scoreMean: sum / numRows };
  }
}

const emptyStretch = (): Stretch => ({ numRows: 0, largest: 0, sum: 0 });

function add(stretch: Stretch, score: number): void {
  join(stretch, { numRows: 1, largest: score, sum: score });
}

function join(stretch: Stretch, next: Stretch): void {
  stretch.numRows += next.numRows;
  stretch.largest = Math.max(stretch.largest, next.largest);
  stretch.sum += next.sum;
}
