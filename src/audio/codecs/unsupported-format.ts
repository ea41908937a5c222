import { ServiceError } from '../../errors.js';
import { canRead } from '../ffmpeg/arguments.js';

const BUILT_IN_FORMATS = ['wav', 'mp3', 'flac', 'ogg/vorbis', 'ogg/opus', 'ogg/flac'];
const FFMPEG_FORMATS = [
  ...['mp4/m4a/mov', 'webm/matroska', 'aac', 'aiff', 'caf', 'au', 'amr', 'asf/wma', 'mpeg-ts'],
  ...['mpeg-ps', 'ac3', 'dts', 'wavpack', 'ape', 'tta', 'avi', 'flv', 'wav/adpcm', 'ogg/speex'],
];

/** What can be decoded, as told to clients. */
export const acceptedFormats = ({ hasFfmpeg }: { hasFfmpeg: boolean }): readonly string[] =>
  hasFfmpeg ? [...BUILT_IN_FORMATS, ...FFMPEG_FORMATS] : BUILT_IN_FORMATS;

/**
 * The refusal of a clip that is recognised, or not even that.
 *
 * @param found `variant` names what is refused where other clips of that codec are accepted; with `hasFfmpeg` it is
 *   told what is accepted there, too
 */
export function unsupportedFormat(found: {
  container: string;
  codec: string;
  variant?: string;
  hasFfmpeg?: boolean;
}): ServiceError {
  const { container, codec, variant = codec, hasFfmpeg = false } = found;
  const isKnown = container !== 'unknown';
  const needsFfmpeg = !hasFfmpeg && canRead(container);
  const name = variant === 'unknown' ? container : `${variant} in ${container}`;
  const why = needsFfmpeg ? 'which needs ffmpeg, and there is none' : 'which is not supported';
  const got = isKnown ? `${name}, ${why}` : 'bytes that look like no audio';
  const accepted = acceptedFormats({ hasFfmpeg });
  return new ServiceError('unsupported_format', `Expected ${accepted.join(', ')}; got ${got}`, {
    container,
    codec,
    accepted,
    ...(needsFfmpeg && { needs: 'ffmpeg' }),
  });
}
