import { PowerSpectrum } from './spectrum.js';

/** What was measured of the heard part of a clip, on its own samples at their own rate. */
export interface AudioFacts {
  /** Largest sample, in dB below full scale; null for digital silence. */
  readonly peakDbfs: number | null;
  /** Root of the mean square over all channels heard, in dB below full scale; null for digital silence. */
  readonly rmsDbfs: number | null;
  /** Samples at full scale. */
  readonly fullScaleSamples: number;
  /** Whether no sample reaches -60 dBFS. */
  readonly silent: boolean;
  /** Highest frequency that carries energy, in Hz; null where too little is heard to say. */
  readonly bandwidthHz: number | null;
  /** What a person should know before trusting an answer, one sentence each. */
  readonly warnings: readonly string[];
}

const SILENT_PEAK = 10 ** (-60 / 20);
/** The largest number of 16 bits: clipped recordings stop there, or one step further below zero. */
const FULL_SCALE = (2 ** 15 - 1) / 2 ** 15;
const CLIPPED_SHARE = 1e-4;
const SPECTRUM_SAMPLES = 2048;
/** A bin carries energy that is at most this much weaker than the strongest. */
const BANDWIDTH_RANGE = 10 ** (-60 / 10);
/** -120 dBFS: below is what rounding leaves of a constant. */
const LEAST_POWER = 10 ** (-120 / 10);
/** Rates of one clip that are looked at: a hostile one could have a million. */
const MAX_RATES = 4;
/** Telephone: half of what the models hear. */
const NARROW_HZ = 4_000;

/** Measures sound as it comes. All channels count alike; the bandwidth is that of the first. */
export class AudioMeter {
  readonly #band = new BandMeter();
  #numSamples = 0;
  #peak = 0;
  #sumOfSquares = 0;
  #fullScaleSamples = 0;

  /** @param channels at least one, all of one length, with samples in [-1, 1] */
  push(channels: readonly Float32Array[], sampleRate: number): void {
    for (const samples of channels) this.#measure(samples);
    this.#band.push(channels[0]!, sampleRate);
  }

  facts(): AudioFacts {
    const silent = this.#peak < SILENT_PEAK;
    const rms = Math.sqrt(this.#sumOfSquares / Math.max(1, this.#numSamples));
    const bandwidthHz = silent ? null : this.#band.bandwidthHz();
    return {
      peakDbfs: toDbfs(this.#peak),
      rmsDbfs: toDbfs(rms),
      fullScaleSamples: this.#fullScaleSamples,
      silent,
      bandwidthHz,
      warnings: this.#warnings({ silent, bandwidthHz }),
    };
  }

  #measure(samples: Float32Array): void {
    let [peak, sumOfSquares, fullScaleSamples] = [this.#peak, 0, 0];
    for (let index = 0; index < samples.length; index++) {
      const size = Math.abs(samples[index]!);
      if (size > peak) peak = size;
      if (size >= FULL_SCALE) fullScaleSamples += 1;
      sumOfSquares += size * size;
    }
    this.#peak = peak;
    this.#sumOfSquares += sumOfSquares;
    this.#fullScaleSamples += fullScaleSamples;
    this.#numSamples += samples.length;
  }

  #warnings({ silent, bandwidthHz }: Pick<AudioFacts, 'silent' | 'bandwidthHz'>): string[] {
    const warnings: string[] = [];
    if (silent) warnings.push('The recording is silent: no sample reaches -60 dBFS.');
    if (this.#fullScaleSamples > CLIPPED_SHARE * this.#numSamples) {
      warnings.push(`The recording is clipped: ${this.#fullScaleSamples} samples at full scale.`);
    }
    if (bandwidthHz !== null && bandwidthHz < NARROW_HZ) {
      warnings.push(`The recording carries next to nothing above ${bandwidthHz} Hz.`);
    }
    return warnings;
  }
}

/**
 * Bandwidth by the mean power spectrum of frames of 2048 samples, side by side: the highest bin that is at most 60 dB
 * below the strongest one. Where the rate changes, the spectrum of the longest stretch at one rate counts.
 */
class BandMeter {
  readonly #spectrum = new PowerSpectrum(SPECTRUM_SAMPLES);
  readonly #byRate = new Map<number, { readonly powers: Float64Array; frames: number }>();
  readonly #frame = new Float32Array(SPECTRUM_SAMPLES);
  #numFramed = 0;
  #sampleRate = 0;

  push(samples: Float32Array, sampleRate: number): void {
    if (sampleRate !== this.#sampleRate) this.#numFramed = 0;
    this.#sampleRate = sampleRate;
    for (let rest = samples; rest.length > 0; ) {
      const taken = rest.subarray(0, SPECTRUM_SAMPLES - this.#numFramed);
      this.#frame.set(taken, this.#numFramed);
      this.#numFramed += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#numFramed === SPECTRUM_SAMPLES) this.#addFrame();
    }
  }

  /** Null for less than one frame, and for nothing but a constant. */
  bandwidthHz(): number | null {
    const [longest] = [...this.#byRate].toSorted(([, a], [, b]) => b.frames - a.frames);
    if (!longest) return null;
    const [sampleRate, { powers, frames }] = longest;
    // The first bins hold a constant offset and what leaks from it.
    const strongest = powers.subarray(2).reduce((a, b) => Math.max(a, b), 0);
    if (strongest < LEAST_POWER * frames) return null;
    const last = powers.findLastIndex((power) => power >= strongest * BANDWIDTH_RANGE);
    return Math.round((last * sampleRate) / SPECTRUM_SAMPLES);
  }

  #addFrame(): void {
    this.#numFramed = 0;
    const sum = this.#byRate.get(this.#sampleRate) ?? this.#newSum();
    if (!sum) return;
    sum.frames += 1;
    const powers = this.#spectrum.of(this.#frame);
    for (let bin = 0; bin < powers.length; bin++) sum.powers[bin]! += powers[bin]!;
  }

  #newSum() {
    if (this.#byRate.size === MAX_RATES) return undefined;
    const sum = { powers: new Float64Array(this.#spectrum.bins), frames: 0 };
    this.#byRate.set(this.#sampleRate, sum);
    return sum;
  }
}

const toDbfs = (value: number): number | null => (value > 0 ? 20 * Math.log10(value) : null);
