import FFT from 'fft.js';

/**
 * Power spectra of frames of one length, under a Hann window.
 *
 * A sine of full scale has power 1 in its bin, so 10 * log10 of a value is dBFS. Bin b lies at b * rate / size.
 */
export class PowerSpectrum {
  /** Samples of a frame. */
  readonly size: number;
  /** Bins from 0 Hz to half the rate, both included. */
  readonly bins: number;
  readonly #fft: FFT;
  readonly #window: Float64Array;
  readonly #framed: Float64Array;
  readonly #transformed: number[];

  /** @param size of a frame in samples, a power of two */
  constructor(size: number) {
    this.size = size;
    this.bins = size / 2 + 1;
    this.#fft = new FFT(size);
    this.#framed = new Float64Array(size);
    this.#transformed = this.#fft.createComplexArray();
    // The window's own gain, (size / 4) for an amplitude of 1 between two mirrored bins, is divided out here.
    this.#window = Float64Array.from(
      { length: size },
      (_, index) => ((1 - Math.cos((2 * Math.PI * index) / size)) / 2) * (4 / size),
    );
  }

  /** @param samples a frame; where it is shorter, silence follows; returns (bins) */
  of(samples: Float32Array): Float32Array {
    this.#framed.fill(0);
    const length = Math.min(samples.length, this.size);
    for (let index = 0; index < length; index++) {
      this.#framed[index] = samples[index]! * this.#window[index]!;
    }
    this.#fft.realTransform(this.#transformed, this.#framed);
    const powers = new Float32Array(this.bins);
    for (let bin = 0; bin < this.bins; bin++) {
      const real = this.#transformed[2 * bin]!;
      const imaginary = this.#transformed[2 * bin + 1]!;
      powers[bin] = real * real + imaginary * imaginary;
    }
    return powers;
  }
}
