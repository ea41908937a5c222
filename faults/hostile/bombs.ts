/** Small files of hours of sound. */
import { writeFlac, writeFrames } from '../../test/audio/flac-writer.js';
import { writePage } from '../../test/audio/ogg-writer.js';
import type { NamedFile } from './forgeries.js';

/** Each holds `seconds` of silence in as few bytes as its format allows. */
export function bombs(seconds: number): NamedFile[] {
  return [
    { name: 'bomb: flac', bytes: flacBomb(seconds, { sampleRate: 48_000, channels: 1 }) },
    { name: 'bomb: opus', bytes: opusBomb(seconds, 1) },
    { name: 'bomb: opus of eight channels', bytes: opusBomb(seconds, 8) },
    { name: 'bomb: mp3', bytes: mp3Bomb(seconds) },
  ];
}

/** As many channels as the format has, at as high a rate as the head of a frame can say. */
export function wideBombs(seconds: number): NamedFile[] {
  const bytes = flacBomb(seconds, { sampleRate: 65_535, channels: 8 });
  return [{ name: 'bomb: flac of eight channels', bytes }];
}

const FLAC_BLOCK = 65_535;

function flacBomb(seconds: number, format: { sampleRate: number; channels: number }): Buffer {
  const { sampleRate } = format;
  const silence = new Uint8Array(FLAC_BLOCK);
  const channels = Array<Uint8Array>(format.channels).fill(silence);
  const options = { sampleRate, bits: 16, channels, blockSamples: FLAC_BLOCK };
  const [frame] = writeFrames(options) as [Buffer];
  const numFrames = Math.ceil((seconds * sampleRate) / FLAC_BLOCK);
  return Buffer.concat([writeFlac(options), ...Array<Buffer>(numFrames - 1).fill(frame)]);
}

/** CELT, 48 kHz, 20 ms a frame, as many frames as fit into a packet, all of them of no bytes: lost, says the decoder. */
const OPUS_PACKET = Uint8Array.of(0xff, 6);
const OPUS_PACKET_SAMPLES = 6 * 960;
const PACKETS_PER_PAGE = 250;

function opusBomb(seconds: number, numChannels: number): Buffer {
  const head = Buffer.alloc(19 + (numChannels > 2 ? 2 + numChannels : 0));
  head.write('OpusHead');
  head.set([1, numChannels], 8);
  head.writeUInt32LE(48_000, 12);
  // Each channel a stream of its own.
  if (numChannels > 2) head.set([1, numChannels, 0, ...Array(numChannels).keys()], 18);
  const tags = Buffer.concat([Buffer.from('OpusTags'), Buffer.alloc(8)]);
  const packet = numChannels > 2 ? undelimited(numChannels) : OPUS_PACKET;
  const numPages = Math.ceil((seconds * 48_000) / (PACKETS_PER_PAGE * OPUS_PACKET_SAMPLES));
  const pages = Array.from({ length: numPages }, (_, index) =>
    writePage({
      packets: Array<Uint8Array>(PACKETS_PER_PAGE).fill(packet),
      sequence: index + 2,
      granule: (index + 1) * PACKETS_PER_PAGE * OPUS_PACKET_SAMPLES,
      isLast: index === numPages - 1,
    }),
  );
  const first = writePage({ packets: [head], isFirst: true });
  return Buffer.concat([first, writePage({ packets: [tags], sequence: 1 }), ...pages]);
}

/** Packets of several streams: all but the last say how long their frames are (RFC 6716, appendix B). */
function undelimited(numStreams: number): Uint8Array {
  const delimited = [...OPUS_PACKET, 0];
  const parts = Array<number[]>(numStreams - 1)
    .fill(delimited)
    .flat();
  return Uint8Array.of(...parts, ...OPUS_PACKET);
}

/** MPEG 2.5, 8 kHz, 8 kbit/s, mono: 72 bytes for 72 ms. */
const MP3_FRAME = Buffer.concat([Buffer.from('ffe318c0', 'hex'), Buffer.alloc(68)]);
const MP3_FRAME_SECONDS = 0.072;

function mp3Bomb(seconds: number): Buffer {
  return Buffer.concat(Array<Buffer>(Math.ceil(seconds / MP3_FRAME_SECONDS)).fill(MP3_FRAME));
}
