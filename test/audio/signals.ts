/** A sine that begins at phase 0, rounded to float32. */
export function tone(o: {
  hz: number;
  amplitude: number;
  sampleRate: number;
  seconds: number;
}): Float32Array {
  const length = Math.round(o.sampleRate * o.seconds);
  const step = (2 * Math.PI * o.hz) / o.sampleRate;
  return Float32Array.from({ length }, (_, index) => o.amplitude * Math.sin(step * index));
}

/** Amplitude of the sine of a known frequency in a signal: projection on a Hann-windowed pair. */
export function sineFit(
  samples: Float32Array,
  o: { hz: number; sampleRate: number },
): { amplitude: number } {
  const step = (2 * Math.PI * o.hz) / o.sampleRate;
  let [real, imaginary, weight] = [0, 0, 0];
  samples.forEach((value, index) => {
    const hann = Math.sin((Math.PI * (index + 0.5)) / samples.length) ** 2;
    real += hann * value * Math.cos(step * index);
    imaginary += hann * value * Math.sin(step * index);
    weight += hann;
  });
  return { amplitude: (2 * Math.hypot(real, imaginary)) / weight };
}

export const decibels = (ratio: number): number => 20 * Math.log10(ratio);

export const rootMeanSquare = (samples: Float32Array): number =>
  Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
