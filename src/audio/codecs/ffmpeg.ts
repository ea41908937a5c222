import type { ClipContent } from '../sniff.js';
import type { Bytes, Codec, PcmChunk } from './codec.js';
import { wavCodec } from './wav.js';

/** A clip on its way through ffmpeg, as a WAV stream. */
export interface FfmpegStream {
  /** Ends ffmpeg when it is left. */
  readonly pieces: Bytes;
  /** How ffmpeg names the codec; undefined until it has found it. */
  codec(): string | undefined;
}

/** Starts ffmpeg on the clip in hand, which looks like `content`. */
export type OpenFfmpeg = (content: ClipContent) => FfmpegStream;

/** Everything else, by the ffmpeg of the system: it reads the clip from its file and writes WAV. */
export function ffmpegCodec(open: OpenFfmpeg): Codec {
  return {
    decoder: 'ffmpeg',
    pieceBytes: 1,
    decode: (_pieces, content) => decodeByFfmpeg(open(content), content),
  };
}

async function* decodeByFfmpeg(
  { pieces, codec }: FfmpegStream,
  content: ClipContent,
): AsyncGenerator<PcmChunk, void> {
  for await (const chunk of wavCodec.decode(pieces, { ...content, container: 'wav' })) {
    yield { ...chunk, codec: codec() ?? content.codec };
  }
}
