const HEADER_BYTES = 44;
const BYTES_PER_SAMPLE = 2;

/** Mono samples in [-1, 1] -> a WAV file of 16 bits. */
export function toWav(
  chunks: readonly Float32Array[],
  sampleRate: number,
): Uint8Array<ArrayBuffer> {
  const samples = chunks.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(HEADER_BYTES + BYTES_PER_SAMPLE * samples);
  const view = new DataView(bytes.buffer);
  writeHeader(view, { samples, sampleRate });
  let offset = HEADER_BYTES;
  for (const chunk of chunks) {
    for (const sample of chunk) {
      const clipped = Math.max(-1, Math.min(1, sample));
      view.setInt16(offset, Math.round(clipped * 32_767), true);
      offset += BYTES_PER_SAMPLE;
    }
  }
  return bytes;
}

/** How many seconds fit into a WAV file of at most so many bytes. */
export const wavSeconds = (bytes: number, sampleRate: number): number =>
  Math.max(0, bytes - HEADER_BYTES) / BYTES_PER_SAMPLE / sampleRate;

function writeHeader(
  view: DataView,
  { samples, sampleRate }: { samples: number; sampleRate: number },
): void {
  const dataBytes = BYTES_PER_SAMPLE * samples;
  const text = (offset: number, letters: string) => {
    for (const [i, letter] of [...letters].entries()) {
      view.setUint8(offset + i, letter.charCodeAt(0));
    }
  };
  text(0, 'RIFF');
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, BYTES_PER_SAMPLE * sampleRate, true);
  view.setUint16(32, BYTES_PER_SAMPLE, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  text(36, 'data');
  view.setUint32(40, dataBytes, true);
}
