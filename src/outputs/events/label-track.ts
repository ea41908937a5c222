/** A stretch of rows in which a label holds. */
export interface Span {
  readonly startSeconds: number;
  readonly endSeconds: number;
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

/** What a track is told of a row. */
export interface TrackedRow {
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** Held to the thresholds. */
  readonly decisive: number;
  /** The row's own score, for the numbers of a span. */
  readonly score: number;
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
  #isOn = false;
  #startSeconds = 0;
  #endSeconds = 0;
  /** Undefined: no span is open. */
  #open: Stretch | undefined;
  /** Rows since the open span was last on. */
  #gap = emptyStretch();

  constructor(options: TrackOptions) {
    this.#options = options;
  }

  /** Takes the next row; gives the span that can grow no more, if there is one. */
  push(row: TrackedRow): Span | undefined {
    const { on, off, gapRows } = this.#options;
    this.#isOn = row.decisive >= (this.#isOn ? off : on);
    if (this.#isOn) this.#extend(row);
    else if (this.#open) add(this.#gap, row.score);
    return this.#open && this.#gap.numRows > gapRows ? this.#close() : undefined;
  }

  /** The span that was still open at the end of the clip. */
  finish(): Span | undefined {
    return this.#open && this.#close();
  }

  #extend({ startSeconds, endSeconds, score }: TrackedRow): void {
    if (this.#open === undefined) {
      this.#open = emptyStretch();
      this.#startSeconds = startSeconds;
    }
    this.#endSeconds = endSeconds;
    join(this.#open, this.#gap);
    this.#gap = emptyStretch();
    add(this.#open, score);
  }

  #close(): Span | undefined {
    const { numRows, largest, sum } = this.#open as Stretch;
    this.#open = undefined;
    this.#gap = emptyStretch();
    if (numRows < this.#options.minRows) return undefined;
    const [startSeconds, endSeconds] = [this.#startSeconds, this.#endSeconds];
    return { startSeconds, endSeconds, score: largest, scoreMean: sum / numRows };
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
