import { OpusDecoder } from 'opus-decoder';
import type { Bytes, Codec, PcmChunk } from './codec.js';
import { GranuleTrimmer } from './granule-trimmer.js';
import { type OggPage, readOggStream } from './ogg.js';
import { type OpusHeader, parseOpusHeader } from './opus-header.js';

const PIECE_BYTES = 8192;
const NUM_HEADER_PACKETS = 2;
const DECODED_RATE_HZ = 48_000;

/** Opus in Ogg, page by page, by libopus. */
export const opusCodec: Codec = {
  decoder: 'libopus',
  pieceBytes: PIECE_BYTES,
  decode: decodeOpus,
};

async function* decodeOpus(pieces: Bytes): AsyncGenerator<PcmChunk, void> {
  let link: OpusLink | undefined;
  try {
    for await (const page of readOggStream(pieces, 'OpusHead')) {
      if (page.isFirst) {
        link?.close();
        link = await OpusLink.open(parseOpusHeader(page.packets[0]));
      }
      const chunk = link!.decode(page);
      if (chunk) yield chunk;
    }
  } finally {
    link?.close();
  }
}

/** One link of a chain: two header packets, then sound. */
class OpusLink {
  readonly #decoder: OpusDecoder;
  readonly #trimmer: GranuleTrimmer;
  readonly #gain: number;
  #numHeadersLeft = NUM_HEADER_PACKETS;

  private constructor(decoder: OpusDecoder, header: OpusHeader) {
    this.#decoder = decoder;
    this.#trimmer = new GranuleTrimmer(header.preSkip);
    this.#gain = header.gain;
  }

  static async open(header: OpusHeader): Promise<OpusLink> {
    const decoder = new OpusDecoder({
      channels: header.numChannels,
      streamCount: header.numStreams,
      coupledStreamCount: header.numCoupledStreams,
      channelMappingTable: header.channelMapping,
    });
    await decoder.ready;
    return new OpusLink(decoder, header);
  }

  decode(page: OggPage): PcmChunk | undefined {
    const packets = page.packets.slice(this.#numHeadersLeft);
    this.#numHeadersLeft -= page.packets.length - packets.length;
    if (packets.length === 0) return undefined;
    const decoded = this.#decoder.decodeFrames(packets);
    const channels = this.#trimmer.trim(decoded.channelData, page);
    if (this.#gain !== 1) for (const samples of channels) scale(samples, this.#gain);
    return { codec: 'opus', sampleRate: DECODED_RATE_HZ, channels };
  }

  close(): void {
    this.#decoder.free();
  }
}

function scale(samples: Float32Array, factor: number): void {
  for (let index = 0; index < samples.length; index++) samples[index]! *= factor;
}
