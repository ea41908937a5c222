import { ServiceError } from '../../errors.js';
import { asciiOf, ByteReader, viewOf } from './byte-reader.js';
import type { Bytes, Codec, PcmChunk } from './codec.js';
import { toChannels } from './pcm.js';
import { parseWavFormat, type WavFormat } from './wav-format.js';

const PIECE_BYTES = 65_536;
const FORMAT_BYTES = 40;
const UNKNOWN_SIZE = 0xffff_ffff;

/** WAV of any PCM kind, mu-law and A-law, in RIFF, RF64, BW64 or Sony Wave64 form. */
export const wavCodec: Codec = {
  decoder: 'wav',
  pieceBytes: PIECE_BYTES,
  decode: (pieces) => decodeWav(pieces),
};

/** Decodes from a stream, so a pipe will do: nothing is looked up behind the samples. */
async function* decodeWav(pieces: Bytes): AsyncGenerator<PcmChunk, void> {
  const reader = new ByteReader(pieces);
  const { format, dataBytes } = await readHeader(reader);
  const blockBytes = format.bytesPerSample * format.numChannels;
  const chunkBytes = Math.floor(PIECE_BYTES / blockBytes) * blockBytes;
  for (let left = dataBytes; left >= blockBytes; left -= chunkBytes) {
    const bytes = await reader.take(Math.min(left, chunkBytes));
    if (bytes.length < blockBytes) return;
    const channels = toChannels(bytes, format);
    yield { codec: format.codec, sampleRate: format.sampleRate, channels };
  }
}

interface Header {
  readonly format: WavFormat;
  /** Infinity where the size is unknown: then the samples go on to the end. */
  readonly dataBytes: number;
}

interface Chunk {
  readonly id: string;
  readonly bytes: number;
  readonly paddingBytes: number;
}

/** Takes the header up to the first sample. */
async function readHeader(reader: ByteReader): Promise<Header> {
  const container = asciiOf(await reader.peek(4), 0, 4) === 'riff' ? 'w64' : 'wav';
  const readChunk = container === 'w64' ? readWave64Chunk : readRiffChunk;
  await reader.skip(container === 'w64' ? 40 : 12);
  let format: WavFormat | undefined;
  let longDataBytes = 0;
  for (let chunk = await readChunk(reader); chunk; chunk = await readChunk(reader)) {
    if (chunk.id === 'data') {
      if (!format) throw refusal('a format chunk before the data chunk of the WAV file');
      return { format, dataBytes: sizeOfData(chunk.bytes, longDataBytes) };
    }
    const payload = await reader.peek(Math.min(chunk.bytes, FORMAT_BYTES));
    if (chunk.id === 'fmt ') format = parseWavFormat(payload, container);
    if (chunk.id === 'ds64' && payload.length >= 16) longDataBytes = readUint64(payload, 8);
    await reader.skip(chunk.bytes + chunk.paddingBytes);
  }
  throw refusal('a data chunk in the WAV file');
}

async function readRiffChunk(reader: ByteReader): Promise<Chunk | undefined> {
  const header = await reader.take(8);
  if (header.length < 8) return undefined;
  const bytes = viewOf(header).getUint32(4, true);
  return { id: asciiOf(header, 0, 4), bytes, paddingBytes: bytes % 2 };
}

/** A chunk of Sony Wave64: a GUID that begins with the RIFF name, and a size that counts its own header. */
async function readWave64Chunk(reader: ByteReader): Promise<Chunk | undefined> {
  const header = await reader.take(24);
  if (header.length < 24) return undefined;
  const bytes = Math.max(0, readUint64(header, 16) - 24);
  return { id: asciiOf(header, 0, 4), bytes, paddingBytes: (8 - (bytes % 8)) % 8 };
}

/** Writers that cannot seek back leave 0 or the largest number; RF64 has the size elsewhere. */
function sizeOfData(bytes: number, longDataBytes: number): number {
  if (bytes === UNKNOWN_SIZE && longDataBytes > 0) return longDataBytes;
  return bytes === 0 || bytes === UNKNOWN_SIZE ? Number.POSITIVE_INFINITY : bytes;
}

const readUint64 = (bytes: Uint8Array, offset: number): number =>
  Number(viewOf(bytes).getBigUint64(offset, true));

const refusal = (expected: string): ServiceError =>
  new ServiceError('undecodable_audio', `Expected ${expected}, found none`);
