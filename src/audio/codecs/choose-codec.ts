import type { ClipContent } from '../sniff.js';
import type { Codec } from './codec.js';
import { flacCodec } from './flac.js';
import { mp3Codec } from './mp3.js';
import { opusCodec } from './opus.js';
import { unsupportedFormat } from './unsupported-format.js';
import { vorbisCodec } from './vorbis.js';
import { wavCodec } from './wav.js';

const OGG_CODECS: Readonly<Record<string, Codec>> = {
  vorbis: vorbisCodec,
  opus: opusCodec,
  flac: flacCodec,
};

const CONTAINER_CODECS: Readonly<Record<string, Codec>> = {
  wav: wavCodec,
  w64: wavCodec,
  mp3: mp3Codec,
  flac: flacCodec,
};

/**
 * The codec for what a clip looks like.
 *
 * @throws ServiceError unsupported_format
 */
export function chooseCodec({ container, codec }: ClipContent): Codec {
  const chosen = container === 'ogg' ? OGG_CODECS[codec] : CONTAINER_CODECS[container];
  if (!chosen) throw unsupportedFormat({ container, codec });
  return chosen;
}
