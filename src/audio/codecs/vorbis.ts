import { type OggVorbisDecodedAudio, OggVorbisDecoder } from '@wasm-audio-decoders/ogg-vorbis';
import { ServiceError } from '../../errors.js';
import type { Bytes, Codec, PcmChunk } from './codec.js';
import { GranuleTrimmer } from './granule-trimmer.js';
import { type OggPage, readOggStream } from './ogg.js';

const PIECE_BYTES = 8192;
const NUM_HEADER_PACKETS = 3;
const MAX_CHANNELS = 8; // as many as Vorbis gives a meaning to; bounds what a page of empty packets can hold

/** Vorbis in Ogg, page by page, by libvorbis. */
export const vorbisCodec: Codec = {
  decoder: 'libvorbis',
  pieceBytes: PIECE_BYTES,
  decode: decodeVorbis,
};

async function* decodeVorbis(pieces: Bytes): AsyncGenerator<PcmChunk, void> {
  let link: VorbisLink | undefined;
  try {
    for await (const page of readOggStream(pieces, '\x01vorbis')) {
      if (page.isFirst) {
        link?.close();
        link = await VorbisLink.open();
      }
      const chunk = await link!.decode(page);
      if (chunk) yield chunk;
    }
  } finally {
    link?.close();
  }
}

type DecoderPage = Parameters<OggVorbisDecoder['decodeOggPages']>[0][number];

/** One link of a chain: three header packets, then sound. */
class VorbisLink {
  readonly #decoder: OggVorbisDecoder;
  readonly #trimmer = new GranuleTrimmer(0);
  readonly #headers: Uint8Array[] = [];

  private constructor(decoder: OggVorbisDecoder) {
    this.#decoder = decoder;
  }

  static async open(): Promise<VorbisLink> {
    const decoder = new OggVorbisDecoder();
    await decoder.ready;
    return new VorbisLink(decoder);
  }

  async decode(page: OggPage): Promise<PcmChunk | undefined> {
    const numHeaders = Math.min(NUM_HEADER_PACKETS - this.#headers.length, page.packets.length);
    this.#headers.push(...page.packets.slice(0, numHeaders));
    if (page.isFirst) assertNumChannels(this.#headers[0]?.[11]);
    const packets = page.packets.slice(numHeaders);
    const decoded = await this.#decodePackets(packets, page.isFirst);
    if (decoded.samplesDecoded === 0) return undefined;
    const channels = this.#trimmer.trim(decoded.channelData, page);
    return { codec: 'vorbis', sampleRate: decoded.sampleRate, channels };
  }

  close(): void {
    this.#decoder.free();
  }

  /**
   * The package's own page parser is passed by: it wants more than a page to find one, and is slow with small
   * pieces. The decoder reads only these fields of a page.
   */
  #decodePackets(packets: readonly Uint8Array[], isFirst: boolean): Promise<OggVorbisDecodedAudio> {
    const header = { vorbisSetup: this.#headers[NUM_HEADER_PACKETS - 1] };
    const page = {
      data: isFirst ? this.#headers[0] : new Uint8Array(1),
      codecFrames: packets.map((data) => ({ data, header })),
      isLastPage: false,
    };
    return this.#decoder.decodeOggPages([page as unknown as DecoderPage]);
  }
}

function assertNumChannels(numChannels = 0): void {
  if (numChannels >= 1 && numChannels <= MAX_CHANNELS) return;
  throw new ServiceError(
    'undecodable_audio',
    `Expected 1 to ${MAX_CHANNELS} channels in the Vorbis header, got ${numChannels}`,
  );
}
