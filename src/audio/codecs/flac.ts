import { FLACDecoder } from '@wasm-audio-decoders/flac';
import type { ClipContent } from '../sniff.js';
import type { Bytes, Codec, PcmChunk } from './codec.js';
import { readNativeFlac, readOggFlac } from './flac-frames.js';
import { unsupportedFormat } from './unsupported-format.js';

const PIECE_BYTES = 8192;
/** The package divides by zero at all other widths. */
const DECODED_WIDTHS_BITS = [8, 16, 24, 32];

/** FLAC, native or in Ogg, frame by frame, by libFLAC. */
export const flacCodec: Codec = {
  decoder: 'libflac',
  pieceBytes: PIECE_BYTES,
  decode: decodeFlac,
};

async function* decodeFlac(pieces: Bytes, content: ClipContent): AsyncGenerator<PcmChunk, void> {
  const read = content.container === 'ogg' ? readOggFlac : readNativeFlac;
  const { description, frames } = await read(pieces);
  const decoder = new FLACDecoder();
  await decoder.ready;
  try {
    await decoder.decodeFrames([description]);
    for await (const frame of frames) {
      const { channelData, sampleRate, bitDepth } = await decoder.decodeFrames([frame]);
      if (channelData.length === 0 || channelData[0]!.length === 0) continue;
      assertDecodedWidth(bitDepth, content.container);
      for (const samples of channelData) toFullScale(samples, bitDepth);
      yield { codec: 'flac', sampleRate, channels: channelData };
    }
  } finally {
    decoder.free();
  }
}

function assertDecodedWidth(bitDepth: number, container: string): void {
  if (DECODED_WIDTHS_BITS.includes(bitDepth)) return;
  throw unsupportedFormat({ container, codec: 'flac', variant: `${bitDepth} bit flac` });
}

/**
 * The package divides by the largest positive number; full scale is one more. Up to 24 bits the nearest float32 is
 * then the exact value again.
 */
function toFullScale(samples: Float32Array, bitDepth: number): void {
  const factor = 1 - 2 ** (1 - bitDepth);
  for (let index = 0; index < samples.length; index++) samples[index]! *= factor;
}
