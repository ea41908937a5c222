import { ServiceError } from '../../errors.js';
import { asciiOf, ByteReader, viewOf } from './byte-reader.js';
import type { Bytes } from './codec.js';
import { FlacFrameSplitter } from './flac-frame-splitter.js';
import { readOggStream } from './ogg.js';

const MARKER = 'fLaC';
const STREAM_INFO_BYTES = 34;
const STREAM_INFO = 0;
const LAST_BLOCK = 0x80;
const OGG_MAPPING_BYTES = 9; // 0x7f 'FLAC', version, number of header packets; then the marker
const FRAME_SYNC = 0xff;

/** A FLAC stream as its decoder takes it: the stream's description, then single frames. */
export interface FlacStream {
  /** Marker and STREAMINFO block: what frames leave unsaid, such as an odd sample rate. */
  readonly description: Uint8Array;
  readonly frames: AsyncGenerator<Uint8Array, void>;
}

/**
 * Splits a native FLAC stream (RFC 9639) into frames.
 *
 * One frame at a time bounds what a decoder can make of a few bytes: 30 of them may hold 65 535 silent samples of
 * 8 channels.
 *
 * @throws ServiceError undecodable_audio
 */
export async function readNativeFlac(pieces: Bytes): Promise<FlacStream> {
  const reader = new ByteReader(pieces);
  if (asciiOf(await reader.take(4), 0, 4) !== MARKER) throw noStreamInfo();
  let streamInfo: Uint8Array | undefined;
  for (let isLast = false; !isLast; ) {
    const header = await reader.take(4);
    if (header.length < 4) throw noStreamInfo();
    const blockBytes = viewOf(header).getUint32(0) & 0xff_ffff;
    isLast = (header[0]! & LAST_BLOCK) !== 0;
    if ((header[0]! & ~LAST_BLOCK) === STREAM_INFO) streamInfo = await reader.peek(blockBytes);
    await reader.skip(blockBytes);
  }
  return { description: describe(streamInfo), frames: splitFrames(reader) };
}

/** Takes the frames of a FLAC stream in Ogg: each packet that is no header is one. */
export async function readOggFlac(pieces: Bytes): Promise<FlacStream> {
  const packets = oggPackets(pieces);
  const first = await packets.next();
  const streamInfo = first.value?.subarray(OGG_MAPPING_BYTES + 8);
  return { description: describe(streamInfo), frames: framesOf(packets) };
}

async function* oggPackets(pieces: Bytes): AsyncGenerator<Uint8Array, undefined> {
  for await (const page of readOggStream(pieces, '\x7fFLAC')) yield* page.packets;
  return undefined;
}

async function* framesOf(packets: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  for await (const packet of packets) if (packet[0] === FRAME_SYNC) yield packet;
}

function describe(streamInfo: Uint8Array | undefined): Uint8Array {
  if (!streamInfo || streamInfo.length < STREAM_INFO_BYTES) throw noStreamInfo();
  const blockHeader = [LAST_BLOCK | STREAM_INFO, 0, 0, STREAM_INFO_BYTES];
  const info = streamInfo.subarray(0, STREAM_INFO_BYTES);
  return Buffer.concat([Buffer.from(MARKER), Buffer.from(blockHeader), info]);
}

async function* splitFrames(reader: ByteReader): AsyncGenerator<Uint8Array, void> {
  const splitter = new FlacFrameSplitter();
  for (let bytes = await reader.takeSome(); bytes.length > 0; bytes = await reader.takeSome()) {
    yield* splitter.push(bytes);
  }
  yield* splitter.flush();
}

const noStreamInfo = (): ServiceError =>
  new ServiceError('undecodable_audio', 'Expected a FLAC stream description, found none');
