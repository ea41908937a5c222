/** Samples from one window to the next, counted by hand: 62 rows of 16 frames of 10 ms at 16 kHz. */
const SHIFT_SAMPLES = 62 * 16 * 160;
const WINDOW_SAMPLES = 160_000;
const ROW_SAMPLES = 2800;

/** The windows of a whole signal at 16 kHz, cut by hand: what a stream must give. */
export function wholeWindows(samples: Float32Array): { samples: Float32Array; start: number }[] {
  const windows = [];
  for (let start = 0; samples.length - start >= ROW_SAMPLES; start += SHIFT_SAMPLES) {
    windows.push({ samples: samples.subarray(start, start + WINDOW_SAMPLES), start });
  }
  return windows;
}
