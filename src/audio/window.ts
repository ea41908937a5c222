import { ServiceError } from '../errors.js';
import { durationSeconds, type Waveform } from './waveform.js';

// The grid of the encoder graph: fbank frames of 25 ms every 10 ms, 16 of them to a row.
const FRAME_LENGTH_SECONDS = 0.025;
const FRAME_SHIFT_SECONDS = 0.01;
const FRAMES_PER_ROW = 16;

/** A stretch of a clip for one run of the encoder; `samples` is a view of the waveform. */
export interface Window {
  readonly samples: Float32Array;
  readonly startSeconds: number;
  readonly durationSeconds: number;
}

/**
 * Windows that cover a waveform and whose rows, one window after the other, are the rows of a single run over all of
 * it: each window starts where the row after the last one of the window before it would start.
 *
 * @param waveform at the model's rate
 * @param options `windowSeconds`, the longest window, and `minSamples`, the samples of one row: what is left at the
 *   end is dropped if it is less
 * @throws ServiceError clip_too_short
 */
export function splitIntoWindows(
  waveform: Waveform,
  options: { windowSeconds: number; minSamples: number },
): Window[] {
  assertOneRow(waveform, options.minSamples);
  const { samples, sampleRate } = waveform;
  const windowSamples = Math.round(options.windowSeconds * sampleRate);
  const startShift = samplesOfWholeRows(windowSamples, sampleRate);
  const windows: Window[] = [];
  for (let start = 0; samples.length - start >= options.minSamples; start += startShift) {
    const piece = samples.subarray(start, start + windowSamples);
    windows.push({
      samples: piece,
      startSeconds: start / sampleRate,
      durationSeconds: piece.length / sampleRate,
    });
  }
  return windows;
}

/** Distance from the first row of a window of this length to the row after its last. */
function samplesOfWholeRows(windowSamples: number, sampleRate: number): number {
  const frameLength = Math.round(FRAME_LENGTH_SECONDS * sampleRate);
  const frameShift = Math.round(FRAME_SHIFT_SECONDS * sampleRate);
  const frames = 1 + Math.floor((windowSamples - frameLength) / frameShift);
  return Math.floor(frames / FRAMES_PER_ROW) * FRAMES_PER_ROW * frameShift;
}

function assertOneRow(waveform: Waveform, minSamples: number): void {
  if (waveform.samples.length >= minSamples) return;
  const minSeconds = minSamples / waveform.sampleRate;
  const seconds = durationSeconds(waveform).toFixed(3);
  throw new ServiceError(
    'clip_too_short',
    `Expected at least ${minSeconds} s of audio, got ${seconds} s`,
    { min_seconds: minSeconds },
  );
}
