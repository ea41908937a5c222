import type { Window } from '../audio/window.js';

/** Outputs of the encoder graph, by their names in it. */
export const ENCODER_OUTPUTS = [
  'clip_logits',
  'clip_embedding',
  'row_logits',
  'row_embeddings',
] as const;
type EncoderOutput = (typeof ENCODER_OUTPUTS)[number];
/** An output of one of the graphs; `tokens` is the tokenizer's only one. */
export type OutputName = EncoderOutput | 'tokens';
export type GraphName = 'encoder' | 'tokenizer';

/** Arrays by the outputs that they are of: numbers of the encoder, code ids of the tokenizer. */
export type OutputArrays = Readonly<
  Partial<Record<EncoderOutput, Float32Array> & Record<'tokens', Int16Array>>
>;

/**
 * The graph that gives these outputs.
 *
 * @throws RangeError when none is named, or outputs of two graphs, which no single run gives
 */
export function graphOf(outputs: readonly OutputName[]): GraphName {
  const numTokens = outputs.filter((name) => name === 'tokens').length;
  if (outputs.length > 0 && numTokens === 0) return 'encoder';
  if (outputs.length > 0 && numTokens === outputs.length) return 'tokenizer';
  throw new RangeError(`Expected outputs of one graph, got ${outputs.join(', ') || 'none'}`);
}

/** What one window gave: its own valid rows and nothing of its neighbours or padding. */
export interface WindowOutput {
  readonly rows: number;
  /** `clip_*`: (width); `row_*`: (rows, width) and `tokens`: (rows, bands), row after row. Only what was asked for. */
  readonly values: OutputArrays;
}

/** Windows laid side by side, as the graph takes them. */
export interface Batch {
  /** (size, samples) in [-1, 1], zeros after each window's end and in unused places. */
  readonly waveform: Float32Array;
  readonly size: number;
  readonly samples: number;
  /** Valid samples of each place. */
  readonly numSamples: readonly number[];
  /** How many places, counted from the first, hold a window. */
  readonly numWindows: number;
}

/** What a batch gave, window by window; a window that is not finite keeps no values. */
export interface BatchOutput {
  readonly windows: readonly (WindowOutput & { readonly finite: boolean })[];
  /** Time inside the session. */
  readonly inferenceMs: number;
}

export interface BatchShape {
  readonly size: number;
  readonly samples: number;
}

const FRAME_SAMPLES = 400;
const FRAME_SHIFT_SAMPLES = 160;
const FRAMES_PER_ROW = 16;

/** Rows of the patch grid that `numSamples` samples at 16 kHz fill. */
export function numRows(numSamples: number): number {
  const frames = 1 + Math.floor((numSamples - FRAME_SAMPLES) / FRAME_SHIFT_SAMPLES);
  return Math.max(0, Math.floor(frames / FRAMES_PER_ROW));
}

/**
 * Lays windows side by side in a batch of the given shape.
 *
 * Unused places are zeros with `minSamples` valid samples: a place without any valid row would be
 * a fully masked one.
 *
 * @throws RangeError when a window is shorter than `minSamples` or does not fit
 */
export function toBatch(
  windows: readonly Window[],
  { size, samples }: BatchShape,
  minSamples: number,
): Batch {
  for (const window of windows) assertFits(window, { minSamples, maxSamples: samples });
  if (windows.length < 1 || windows.length > size) {
    throw new RangeError(`Expected 1 to ${size} windows, got ${windows.length}`);
  }
  const numSamples = Array.from(
    { length: size },
    (_, i) => windows[i]?.samples.length ?? minSamples,
  );
  return {
    waveform: layOut(windows, { size, samples }),
    size,
    samples,
    numSamples,
    numWindows: windows.length,
  };
}

/** @throws RangeError when a window is too short for one row or too long for its batch */
export function assertFits(
  window: Window,
  { minSamples, maxSamples }: { minSamples: number; maxSamples: number },
): void {
  const { length } = window.samples;
  if (length >= minSamples && length <= maxSamples) return;
  throw new RangeError(
    `Expected a window of ${minSamples} to ${maxSamples} samples, got ${length}`,
  );
}

function layOut(windows: readonly Window[], { size, samples }: BatchShape): Float32Array {
  const [first] = windows;
  if (size === 1 && first?.samples.length === samples) return first.samples;
  const waveform = new Float32Array(size * samples);
  windows.forEach((window, i) => {
    waveform.set(window.samples, i * samples);
  });
  return waveform;
}

/**
 * Cuts the graph's outputs into those of each window.
 *
 * @param arrays per output (size, width) or (size, rows of the whole batch, width)
 */
export function splitOutputs(batch: Batch, arrays: OutputArrays): BatchOutput['windows'] {
  return Array.from({ length: batch.numWindows }, (_, place) => {
    const rows = numRows(batch.numSamples[place] ?? 0);
    const parts = Object.entries(arrays).map(([name, array]) => [
      name,
      partOf(array, batch, { name, place, rows }),
    ]);
    const values: OutputArrays = Object.fromEntries(parts);
    return Object.values(values).every(isAllFinite)
      ? { rows, values, finite: true }
      : { rows, values: {}, finite: false };
  });
}

function partOf(
  array: Float32Array | Int16Array,
  batch: Batch,
  { name, place, rows }: { name: string; place: number; rows: number },
): Float32Array | Int16Array {
  const stride = array.length / batch.size;
  const start = place * stride;
  if (name.startsWith('clip_')) return array.subarray(start, start + stride);
  return array.subarray(start, start + (stride / numRows(batch.samples)) * rows);
}

function isAllFinite(values: Float32Array | Int16Array): boolean {
  // A sum of doubles is not finite exactly when one of its float32 addends is not.
  let sum = 0;
  for (const value of values) sum += value;
  return Number.isFinite(sum);
}
