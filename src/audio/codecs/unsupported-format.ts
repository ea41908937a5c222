import { ServiceError } from '../../errors.js';

/** What can be decoded, as told to clients. */
export const ACCEPTED_FORMATS = [
  'wav',
  'mp3',
  'flac',
  'ogg/vorbis',
  'ogg/opus',
  'ogg/flac',
] as const;

/**
 * The refusal of a clip that is recognised, or not even that.
 *
 * @param found `variant` names what is refused where other clips of that codec are accepted
 */
export function unsupportedFormat(found: {
  container: string;
  codec: string;
  variant?: string;
}): ServiceError {
  const { container, codec, variant = codec } = found;
  const isKnown = container !== 'unknown';
  const name = variant === 'unknown' ? container : `${variant} in ${container}`;
  const got = isKnown ? `${name}, which is not supported yet` : 'bytes that look like no audio';
  return new ServiceError(
    'unsupported_format',
    `Expected ${ACCEPTED_FORMATS.join(', ')}; got ${got}`,
    { container, codec, accepted: ACCEPTED_FORMATS, ...(isKnown && { needs: 'ffmpeg' }) },
  );
}
