import { createPowerSpectrum } from './fft.js';
import { shareOf } from './waveform-columns.js';

/** A picture of levels: column by column, low frequencies first within each. */
export interface Spectrogram {
  readonly columns: number;
  readonly bands: number;
  /** (columns x bands), 0 for the floor to 255 for the loudest. */
  readonly levels: Uint8Array;
}

export interface SpectrogramOptions {
  readonly sampleRate: number;
  readonly columns: number;
  readonly bands: number;
}

const FRAME_SAMPLES = 512;
/** Frames overlap by half at least, so that no sample lies only under the edges of the window. */
const LONGEST_HOP_SAMPLES = FRAME_SAMPLES / 2;
/** From the floor of the picture to its loudest spot. */
const RANGE_DB = 70;
/** Power of a level that is silence however loud the rest is: about -120 dB below full scale. */
const SILENCE = 1e-12 * FRAME_SAMPLES ** 2;

/**
 * Mono samples -> levels on a mel scale (512-point Hann windows), relative to the loudest spot.
 *
 * A column is the mean over all frames of its share of the time: nothing is left out of a long sound.
 */
export function toSpectrogram(samples: Float32Array, options: SpectrogramOptions): Spectrogram {
  const { columns, bands } = options;
  const powers = columnPowers(samples, options);
  const loudest = powers.reduce((max, power) => Math.max(max, power), SILENCE);
  const levels = Uint8Array.from(powers, (power) => {
    const belowDb = 10 * Math.log10(Math.max(power, SILENCE) / loudest);
    return power <= SILENCE ? 0 : Math.round(255 * Math.max(0, 1 + belowDb / RANGE_DB));
  });
  return { columns, bands, levels };
}

/** (columns x bands) mean powers. */
function columnPowers(
  samples: Float32Array,
  { sampleRate, columns, bands }: SpectrogramOptions,
): Float32Array {
  const spectrum = createPowerSpectrum(FRAME_SAMPLES);
  const filters = melFilters({ sampleRate, bands });
  const window = hann(FRAME_SAMPLES);
  const frame = new Float32Array(FRAME_SAMPLES);
  const powers = new Float32Array(columns * bands);
  for (let column = 0; column < columns; column++) {
    const [from, to] = shareOf(column, { columns, samples: samples.length });
    const frames = Math.max(1, Math.ceil((to - from) / LONGEST_HOP_SAMPLES));
    for (let i = 0; i < frames; i++) {
      // Centred in its part of the column; beyond both ends there is silence.
      const centre = from + ((i + 0.5) * (to - from)) / frames;
      const start = Math.round(centre - FRAME_SAMPLES / 2);
      for (let n = 0; n < FRAME_SAMPLES; n++) frame[n] = window[n]! * (samples[start + n] ?? 0);
      const power = spectrum(frame);
      for (const [band, filter] of filters.entries()) {
        powers[column * bands + band]! += filter(power) / frames;
      }
    }
  }
  return powers;
}

const hann = (size: number): Float32Array =>
  Float32Array.from({ length: size }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));

const toMel = (hz: number): number => 1127 * Math.log1p(hz / 700);
const toHz = (mel: number): number => 700 * Math.expm1(mel / 1127);

/** Where in the picture a frequency lies: 0 at the bottom, 1 at half the sample rate. */
export const heightOf = (hz: number, sampleRate: number): number =>
  toMel(hz) / toMel(sampleRate / 2);

/** Triangles on the mel scale, each a mean of the frequencies below it. */
function melFilters({ sampleRate, bands }: { sampleRate: number; bands: number }) {
  const binHz = sampleRate / FRAME_SAMPLES;
  const step = toMel(sampleRate / 2) / (bands + 1);
  return Array.from({ length: bands }, (_, band) => {
    const [low, centre, high] = [0, 1, 2].map((i) => toHz((band + i) * step) / binHz);
    const weights = triangle(low!, centre!, high!);
    const sum = weights.reduce((total, [, weight]) => total + weight, 0);
    return (power: Float32Array): number =>
      weights.reduce((total, [bin, weight]) => total + weight * power[bin]!, 0) / sum;
  });
}

/** Weights of the bins under a triangle; where it lies between two bins, those two. */
function triangle(low: number, centre: number, high: number): [bin: number, weight: number][] {
  const weights: [number, number][] = [];
  for (let bin = Math.ceil(low); bin < high; bin++) {
    const weight = bin <= centre ? (bin - low) / (centre - low) : (high - bin) / (high - centre);
    if (weight > 0) weights.push([bin, weight]);
  }
  if (weights.length > 0) return weights;
  const below = Math.floor(centre);
  return [
    [below, 1 - (centre - below)],
    [below + 1, centre - below],
  ];
}
