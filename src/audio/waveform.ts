/** Mono samples in [-1, 1] and their rate in Hz. */
export interface Waveform {
  readonly samples: Float32Array;
  readonly sampleRate: number;
}

/** Length of a waveform in seconds. */
export const durationSeconds = (waveform: Waveform): number =>
  waveform.samples.length / waveform.sampleRate;
