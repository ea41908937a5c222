import { ServiceError } from '../../errors.js';
import { viewOf } from './byte-reader.js';

const MAX_CHANNELS = 8; // as many as Opus gives a meaning to; bounds what a page of empty packets can hold
const SILENT_CHANNEL = 255;

/** The identification header of an Opus stream (RFC 7845, 5.1). */
export interface OpusHeader {
  readonly numChannels: number;
  /** Samples at 48 kHz that warm up the decoder. */
  readonly preSkip: number;
  /** Factor for all samples. */
  readonly gain: number;
  readonly numStreams: number;
  readonly numCoupledStreams: number;
  readonly channelMapping: number[];
}

/** @throws ServiceError undecodable_audio */
export function parseOpusHeader(packet: Uint8Array = new Uint8Array(0)): OpusHeader {
  if (packet.length < 19) throw refusal(`19 bytes, got ${packet.length}`);
  const view = viewOf(packet);
  const numChannels = packet[9]!;
  if (numChannels < 1 || numChannels > MAX_CHANNELS) {
    throw refusal(`1 to ${MAX_CHANNELS} channels, got ${numChannels}`);
  }
  return {
    numChannels,
    preSkip: view.getUint16(10, true),
    gain: 10 ** (view.getInt16(16, true) / 256 / 20),
    ...streamsOf(packet, numChannels),
  };
}

type Streams = Pick<OpusHeader, 'numStreams' | 'numCoupledStreams' | 'channelMapping'>;

function streamsOf(packet: Uint8Array, numChannels: number): Streams {
  const mappingFamily = packet[18]!;
  if (mappingFamily === 0) {
    if (numChannels > 2) throw refusal(`1 or 2 channels in family 0, got ${numChannels}`);
    const channelMapping = [0, 1].slice(0, numChannels);
    return { numStreams: 1, numCoupledStreams: numChannels - 1, channelMapping };
  }
  const mappingEnd = 21 + numChannels;
  if (packet.length < mappingEnd) throw refusal(`${mappingEnd} bytes, got ${packet.length}`);
  const [numStreams, numCoupledStreams] = [packet[19]!, packet[20]!];
  const channelMapping = [...packet.subarray(21, mappingEnd)];
  const numDecoded = numStreams + numCoupledStreams;
  const isSound =
    numStreams >= 1 &&
    numCoupledStreams <= numStreams &&
    numDecoded <= 255 &&
    channelMapping.every((index) => index < numDecoded || index === SILENT_CHANNEL);
  if (!isSound) throw refusal('a channel mapping within its streams, got one beyond them');
  return { numStreams, numCoupledStreams, channelMapping };
}

const refusal = (expectedAndGot: string): ServiceError =>
  new ServiceError('undecodable_audio', `Expected in the Opus header ${expectedAndGot}`);
