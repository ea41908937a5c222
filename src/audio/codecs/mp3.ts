import { MPEGDecoder } from 'mpg123-decoder';
import type { ClipContent } from '../sniff.js';
import type { Bytes, Codec, PcmChunk } from './codec.js';
import { parseMpegFrame } from './mpeg-frame.js';

const PIECE_BYTES = 4096;

/** MPEG audio layers 1 to 3, by mpg123, which also cuts the encoder's delay where the file tells it. */
export const mp3Codec: Codec = {
  decoder: 'mpg123',
  pieceBytes: PIECE_BYTES,
  decode: decodeMpegAudio,
};

async function* decodeMpegAudio(
  pieces: Bytes,
  content: ClipContent,
): AsyncGenerator<PcmChunk, void> {
  const decoder = new MPEGDecoder();
  await decoder.ready;
  try {
    let numChannels: number | undefined;
    for await (const bytes of pieces) {
      numChannels ??= parseMpegFrame(bytes, 0)?.numChannels;
      const { channelData, sampleRate, samplesDecoded } = decoder.decode(bytes);
      if (samplesDecoded === 0) continue;
      // mpg123 gives mono as two equal channels.
      yield { codec: content.codec, sampleRate, channels: channelData.slice(0, numChannels) };
    }
  } finally {
    decoder.free();
  }
}
