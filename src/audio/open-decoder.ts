import { createDecoder, type Decoder, type DecoderOptions } from './decode.js';
import { openFfmpeg } from './ffmpeg/ffmpeg.js';

export interface OpenDecoderOptions extends Omit<DecoderOptions, 'ffmpeg'> {
  /** Undefined: only the built-in decoders are there. */
  readonly ffmpegPath: string | undefined;
  readonly prlimitPath: string | undefined;
}

/**
 * A decoder with the ffmpeg of the system, where there is one.
 *
 * @throws Error of one line when ffmpeg is named and does not run
 */
export async function openDecoder(options: OpenDecoderOptions): Promise<Decoder> {
  const { ffmpegPath: path, prlimitPath, ...others } = options;
  if (path === undefined) return createDecoder(others);
  const ffmpeg = await openFfmpeg({ path, prlimitPath }).catch((error: Error) => {
    const [line] = error.message.split('\n');
    throw new Error(`FFMPEG_PATH: expected ffmpeg or "off", got ${path}: ${line}`);
  });
  return createDecoder({ ...others, ffmpeg });
}
