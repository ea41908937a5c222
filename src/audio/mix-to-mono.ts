/**
 * Plain mean of the channels, as in training: no weights by layout, no rise in loudness for stereo.
 *
 * Decoders of damaged clips give NaN, infinities and values in the thousands: each becomes 0 or full scale first.
 *
 * @param channels at least one; all of one length
 */
export function mixToMono(channels: readonly Float32Array[]): Float32Array {
  const [first, ...others] = channels;
  const mono = new Float32Array(first!.length);
  if (others.length === 1) return mixPair(mono, first!, others[0]!);
  for (let index = 0; index < mono.length; index++) {
    let sum = clean(first![index]!);
    for (const samples of others) sum += clean(samples[index]!);
    mono[index] = sum / channels.length;
  }
  return mono;
}

function mixPair(mono: Float32Array, left: Float32Array, right: Float32Array): Float32Array {
  for (let index = 0; index < mono.length; index++) {
    mono[index] = (clean(left[index]!) + clean(right[index]!)) / 2;
  }
  return mono;
}

/** Brings every sample into [-1, 1], in place. */
export function clampSamples(samples: Float32Array): Float32Array {
  for (let index = 0; index < samples.length; index++) samples[index] = clean(samples[index]!);
  return samples;
}

/** NaN to 0, the rest into [-1, 1]. */
function clean(value: number): number {
  if (value >= -1 && value <= 1) return value;
  return value > 1 ? 1 : value < -1 ? -1 : 0;
}
