import type { OggPage } from './ogg.js';

/**
 * Cuts the decoded samples of an Ogg stream to what its granule positions call the clip: decoders give more at both
 * ends (RFC 7845, 4; Vorbis I, A.2).
 */
export class GranuleTrimmer {
  readonly #preSkip: number;
  #numDecoded = 0;
  /** Granule position of the first decoded sample: not 0 where a live stream was recorded from its middle. */
  #origin: number | undefined;

  /** @param preSkip samples at the start that only warm up the decoder */
  constructor(preSkip: number) {
    this.#preSkip = preSkip;
  }

  /** @param channels what was decoded from the packets of `page` */
  trim(channels: readonly Float32Array[], page: OggPage): Float32Array[] {
    const length = channels[0]?.length ?? 0;
    const start = this.#numDecoded;
    const end = start + length;
    this.#numDecoded = end;
    const hasGranule = page.granule >= 0;
    if (hasGranule && length > 0) {
      this.#origin ??= page.isLast ? 0 : Math.max(0, page.granule - end);
    }
    const streamEnd =
      page.isLast && hasGranule ? page.granule - (this.#origin ?? 0) : Number.POSITIVE_INFINITY;
    const from = Math.max(start, this.#preSkip) - start;
    const to = Math.min(end, streamEnd) - start;
    return channels.map((samples) => samples.subarray(from, Math.max(from, to)));
  }
}
