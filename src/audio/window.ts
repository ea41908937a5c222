// The grid of the encoder graph: fbank frames of 25 ms every 10 ms, 16 of them to a row.
const FRAME_LENGTH_SECONDS = 0.025;
const FRAME_SHIFT_SECONDS = 0.01;
const FRAMES_PER_ROW = 16;

/** A stretch of a clip for one run of the encoder. */
export interface Window {
  readonly samples: Float32Array;
}

/** How a model wants its windows. */
export interface WindowGrid {
  /** Rate of the windows, in Hz. */
  readonly sampleRate: number;
  /** The longest window. */
  readonly windowSeconds: number;
  /** Samples of one row: what is left at the end is dropped if it is less. */
  readonly minSamples: number;
}

/** A window cut from a stream, and its place. */
export interface CutWindow extends Window {
  /** 0, 1, ... */
  readonly index: number;
  /** Row of the stream's grid that is its first. */
  readonly firstRow: number;
  /** On the source's clock, counted from the start of the stream. */
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** Where samples that follow lie on the source's clock. */
export interface SampleClock {
  /** Of the next sample. */
  readonly startSeconds: number;
  /** Samples for each second of the source: not quite the grid's rate where a resampler rounds its ratio. */
  readonly samplesPerSecond: number;
}

/**
 * Cuts windows from a stream of samples as they fill. The rows of all windows, one after the other, are the rows of a
 * single run over all of the stream: each starts where the row after the last one of the window before it would start.
 *
 * That place is told by the source's clock and not by counting samples, so no error adds up over hours.
 */
export class WindowCutter {
  readonly #grid: WindowGrid;
  readonly #windowSamples: number;
  readonly #rowsPerWindow: number;
  #clock: SampleClock;
  /** Samples that came before the clock was last set, and samples in all. */
  #clockStart = 0;
  #position = 0;
  #index = 0;
  /** First sample of the window that is being filled; of the one after it, once its place lies behind a change. */
  #start = 0;
  #nextStart: number | undefined;
  #filled: Float32Array;
  #numFilled = 0;

  constructor(grid: WindowGrid, clock: SampleClock) {
    const { sampleRate, windowSeconds } = grid;
    this.#grid = grid;
    this.#clock = clock;
    this.#windowSamples = Math.round(windowSeconds * sampleRate);
    this.#rowsPerWindow = numWholeRows(this.#windowSamples, sampleRate);
    this.#filled = new Float32Array(this.#windowSamples);
  }

  /** Whether it has given a window. */
  get hasCut(): boolean {
    return this.#index > 0;
  }

  /** The samples that follow lie elsewhere on the source's clock, or closer. */
  setClock(clock: SampleClock): void {
    // What lies before the change is found by the old clock.
    const next = this.#startOf(this.#index + 1);
    if (this.#secondsOf(this.#index + 1) < clock.startSeconds) this.#nextStart ??= next;
    this.#clock = clock;
    this.#clockStart = this.#position;
  }

  /** Takes the next samples; returns the windows that they fill. */
  push(samples: Float32Array): CutWindow[] {
    const windows: CutWindow[] = [];
    let rest = samples.subarray(this.#skip(samples.length));
    while (rest.length > 0) {
      const taken = rest.subarray(0, this.#windowSamples - this.#numFilled);
      this.#filled.set(taken, this.#numFilled);
      this.#numFilled += taken.length;
      this.#position += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#numFilled < this.#windowSamples) break;
      windows.push(this.#cut());
      rest = rest.subarray(this.#skip(rest.length));
    }
    return windows;
  }

  /**
   * Ends the stream; returns the windows in what is left.
   *
   * @param endSeconds end of the source's last sample, on the source's clock
   * @param options `pad`: a stream of less than one row is filled up to one with silence
   */
  flush(endSeconds: number, { pad }: { pad: boolean }): CutWindow[] {
    const { minSamples } = this.#grid;
    if (pad && this.#index === 0) this.#numFilled = Math.max(minSamples, this.#numFilled);
    const windows: CutWindow[] = [];
    while (this.#numFilled >= minSamples) windows.push(this.#cut(endSeconds));
    return windows;
  }

  /** Passes over samples that no window wants; returns how many of `count`. */
  #skip(count: number): number {
    const skipped = Math.min(count, Math.max(0, this.#start - this.#position));
    this.#position += skipped;
    return skipped;
  }

  /** The window at hand; begins the next with the samples that both share. */
  #cut(limitSeconds = Number.POSITIVE_INFINITY): CutWindow {
    const [index, filled, numFilled] = [this.#index, this.#filled, this.#numFilled];
    const startSeconds = this.#secondsOf(index);
    const endSeconds = this.#secondsAt(this.#start + numFilled);
    const nextStart = this.#nextStart ?? this.#startOf(index + 1);
    const shared = filled.subarray(Math.min(nextStart - this.#start, numFilled), numFilled);
    this.#index += 1;
    this.#start = nextStart;
    this.#nextStart = undefined;
    this.#filled = new Float32Array(this.#windowSamples);
    this.#filled.set(shared);
    this.#numFilled = shared.length;
    return {
      samples: numFilled === filled.length ? filled : filled.slice(0, numFilled),
      index,
      firstRow: index * this.#rowsPerWindow,
      startSeconds,
      endSeconds: Math.min(limitSeconds, endSeconds),
    };
  }

  #secondsOf(index: number): number {
    const { sampleRate } = this.#grid;
    const frameShift = Math.round(FRAME_SHIFT_SECONDS * sampleRate);
    return (index * this.#rowsPerWindow * FRAMES_PER_ROW * frameShift) / sampleRate;
  }

  /** First sample of window `index`, by the present clock. */
  #startOf(index: number): number {
    const { startSeconds, samplesPerSecond } = this.#clock;
    const seconds = this.#secondsOf(index) - startSeconds;
    return this.#clockStart + Math.round(seconds * samplesPerSecond);
  }

  #secondsAt(position: number): number {
    const { startSeconds, samplesPerSecond } = this.#clock;
    return startSeconds + (position - this.#clockStart) / samplesPerSecond;
  }
}

/** Rows that lie wholly within so many samples. */
function numWholeRows(numSamples: number, sampleRate: number): number {
  const frameLength = Math.round(FRAME_LENGTH_SECONDS * sampleRate);
  const frameShift = Math.round(FRAME_SHIFT_SECONDS * sampleRate);
  const frames = 1 + Math.floor((numSamples - frameLength) / frameShift);
  return Math.floor(frames / FRAMES_PER_ROW);
}
