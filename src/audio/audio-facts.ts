/** What was measured of the heard part of a clip, on its own samples at their own rate. */
export interface AudioFacts {
  /** Largest sample, in dB below full scale; null for digital silence. */
  readonly peakDbfs: number | null;
  /** Root of the mean square over all channels, in dB below full scale; null for digital silence. */
  readonly rmsDbfs: number | null;
  /** Samples at full scale: a recording that has many of them is clipped. */
  readonly fullScaleSamples: number;
  /** Whether no sample reaches -60 dBFS. */
  readonly silent: boolean;
  /** Highest frequency that carries energy, in Hz; null where too little is heard to say. */
  readonly bandwidthHz: number | null;
  /** What a person should know before trusting an answer, one sentence each. */
  readonly warnings: readonly string[];
}

const SILENT_PEAK = 10 ** (-60 / 20);

/** Level and silence of samples in [-1, 1]. */
export function measureAudio(samples: Float32Array): AudioFacts {
  let [peak, sumOfSquares, fullScaleSamples] = [0, 0, 0];
  for (const sample of samples) {
    const size = Math.abs(sample);
    if (size > peak) peak = size;
    if (size >= 1) fullScaleSamples += 1;
    sumOfSquares += sample * sample;
  }
  const rms = Math.sqrt(sumOfSquares / Math.max(1, samples.length));
  const silent = peak < SILENT_PEAK;
  const warnings = silent ? ['The recording is silent'] : [];
  return {
    peakDbfs: toDbfs(peak),
    rmsDbfs: toDbfs(rms),
    fullScaleSamples,
    silent,
    bandwidthHz: null,
    warnings,
  };
}

const toDbfs = (value: number): number | null => (value > 0 ? 20 * Math.log10(value) : null);
