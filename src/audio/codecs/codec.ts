import type { ClipContent } from '../sniff.js';

/** A clip's bytes in order, in pieces. */
export type Bytes = AsyncIterable<Uint8Array>;

/** Decoded sound: one array per channel, all of one length, with whatever values the decoder gave. */
export interface PcmChunk {
  /** What the samples were encoded as, in ffmpeg's naming: `pcm_s16le`, `mp3`. */
  readonly codec: string;
  readonly sampleRate: number;
  readonly channels: readonly Float32Array[];
}

/** A reader of audio formats: the seam behind which every decoder lies. */
export interface Codec {
  /** Name of the decoder, as clients see it. */
  readonly decoder: string;
  /** How many bytes to read ahead: small where few bytes may hold much sound. */
  readonly pieceBytes: number;
  /**
   * Decodes while it is asked for more, so that the caller can stop at any chunk.
   *
   * Damage is passed over where the format allows it. Each call has a decoder of its own, freed when the generator
   * ends: what one clip did to it, the next cannot meet.
   *
   * @param pieces the clip from `content.audioOffset` on
   * @throws ServiceError unsupported_format, undecodable_audio; anything else a broken decoder throws
   */
  decode(pieces: Bytes, content: ClipContent): AsyncGenerator<PcmChunk, void>;
}
