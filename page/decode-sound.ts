/** Mono samples of a sound, as many of them as pictures need. */
export interface DecodedSound {
  readonly samples: Float32Array<ArrayBuffer>;
  readonly sampleRate: number;
}

/** As the models hear it: nothing above 8 kHz. */
const SAMPLE_RATE = 16_000;
/** Half an hour of stereo; the browser holds all of it at once. */
const MOST_SAMPLES = 2 * 1800 * SAMPLE_RATE;
/** Where nobody can tell how long a file is: so many bytes decode to less than that, lossless as they may be. */
const MOST_BYTES_UNKNOWN = 8 * 2 ** 20;

/**
 * Decodes a sound in the browser, for its pictures: bytes -> mean of its channels at 16 kHz.
 *
 * @param durationSeconds undefined where the browser's player could not tell
 * @returns undefined where the browser cannot read the format, or the sound is too long to hold
 */
export async function decodeSound(
  bytes: Blob,
  durationSeconds: number | undefined,
): Promise<DecodedSound | undefined> {
  if (!fits(bytes, durationSeconds)) return undefined;
  const context = new OfflineAudioContext({ length: 1, sampleRate: SAMPLE_RATE });
  try {
    const decoded = await context.decodeAudioData(await bytes.arrayBuffer());
    return { samples: mixToMono(decoded), sampleRate: decoded.sampleRate };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'EncodingError') return undefined;
    throw error;
  }
}

function fits({ size }: Blob, durationSeconds: number | undefined): boolean {
  if (durationSeconds === undefined) return size <= MOST_BYTES_UNKNOWN;
  return 2 * durationSeconds * SAMPLE_RATE <= MOST_SAMPLES;
}

function mixToMono(buffer: AudioBuffer): Float32Array<ArrayBuffer> {
  const { length, numberOfChannels: channels } = buffer;
  const mono = new Float32Array(length);
  for (let channel = 0; channel < channels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < length; i++) mono[i]! += samples[i]! / channels;
  }
  return mono;
}
