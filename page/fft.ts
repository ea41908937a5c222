/** Power of each frequency of a frame of real samples. */
export type PowerSpectrum = (frame: Float32Array) => Float32Array;

/**
 * Prepares a transform of frames of `size` samples, a power of two: frame -> power of `size / 2 + 1`
 * frequencies, from 0 to half the sample rate. The returned array is the same one each time.
 *
 * Radix 2, decimation in time (Cooley and Tukey 1965).
 */
export function createPowerSpectrum(size: number): PowerSpectrum {
  if (size < 2 || (size & (size - 1)) !== 0) {
    throw new Error(`Expected a power of two, got ${size}`);
  }
  const order = bitReversed(size);
  const cosines = Float32Array.from({ length: size / 2 }, (_, k) =>
    Math.cos((2 * Math.PI * k) / size),
  );
  const sines = Float32Array.from({ length: size / 2 }, (_, k) =>
    Math.sin((2 * Math.PI * k) / size),
  );
  const real = new Float32Array(size);
  const imaginary = new Float32Array(size);
  const power = new Float32Array(size / 2 + 1);
  return (frame) => {
    for (let i = 0; i < size; i++) real[i] = frame[order[i]!] ?? 0;
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) {
      mergeHalves(real, imaginary, { half, cosines, sines });
    }
    for (let k = 0; k <= size / 2; k++) power[k] = real[k]! ** 2 + imaginary[k]! ** 2;
    return power;
  };
}

/** One level of butterflies: transforms of `half` points, in pairs, become transforms of twice as many. */
function mergeHalves(
  real: Float32Array,
  imaginary: Float32Array,
  { half, cosines, sines }: { half: number; cosines: Float32Array; sines: Float32Array },
): void {
  const stride = cosines.length / half;
  for (let start = 0; start < real.length; start += 2 * half) {
    for (let k = 0; k < half; k++) {
      const [a, b] = [start + k, start + k + half];
      const [cosine, sine] = [cosines[k * stride]!, sines[k * stride]!];
      const re = real[b]! * cosine + imaginary[b]! * sine;
      const im = imaginary[b]! * cosine - real[b]! * sine;
      real[b] = real[a]! - re;
      imaginary[b] = imaginary[a]! - im;
      real[a] = real[a]! + re;
      imaginary[a] = imaginary[a]! + im;
    }
  }
}

function bitReversed(size: number): Uint32Array {
  const order = new Uint32Array(size);
  for (let i = 1; i < size; i++) order[i] = (order[i >> 1]! >> 1) | (i & 1 ? size >> 1 : 0);
  return order;
}
