import { describe, expect, it } from 'vitest';
import { GranuleTrimmer } from '../../src/audio/codecs/granule-trimmer.js';
import { readOggStream } from '../../src/audio/codecs/ogg.js';
import { opusCodec } from '../../src/audio/codecs/opus.js';
import { parseOpusHeader } from '../../src/audio/codecs/opus-header.js';
import { vorbisCodec } from '../../src/audio/codecs/vorbis.js';
import { decodeAll, inPieces, isSameSignal, readFixture } from './clips.js';
import { writePage } from './ogg-writer.js';
import { decibels, rootMeanSquare } from './signals.js';

const CODECS = {
  'dog.ogg': vorbisCodec,
  'rooster.ogg': vorbisCodec,
  'dog_32k.ogg': vorbisCodec,
  'dog.opus': opusCodec,
} as const;
type ClipName = keyof typeof CODECS;
const CLIPS = Object.keys(CODECS) as ClipName[];

const decode = (name: ClipName, bytes: Uint8Array = readFixture(name), pieceBytes?: number) =>
  decodeAll(CODECS[name], bytes, { container: 'ogg', ...(pieceBytes && { pieceBytes }) });

/** Position of the last page, which says how long the clip is. */
const lastPageAt = (bytes: Buffer) => bytes.lastIndexOf('OggS');
const lastGranule = (bytes: Buffer) => Number(bytes.readBigInt64LE(lastPageAt(bytes) + 6));
const preSkip = (bytes: Buffer) => bytes.readUInt16LE(bytes.indexOf('OpusHead') + 10);

/** The same stream under another serial number. */
function renumbered(bytes: Buffer, serial: number): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = copy.indexOf('OggS'); at >= 0; at = copy.indexOf('OggS', at + 4)) {
    copy.writeUInt32LE(serial, at + 14);
  }
  return copy;
}

describe.each(CLIPS)('%s', (name) => {
  const bytes = readFixture(name);
  const isOpus = CODECS[name] === opusCodec;

  it('is as long as its last page says', async () => {
    const decoded = await decode(name);
    const expected = lastGranule(bytes) - (isOpus ? preSkip(bytes) : 0);
    expect(decoded?.channels[0]).toHaveLength(expected);
    expect(decoded?.codec).toBe(isOpus ? 'opus' : 'vorbis');
  });

  it('gives the same samples in small pieces', async () => {
    const [small, large] = [await decode(name, bytes, 777), await decode(name)];
    expect(isSameSignal(small!.channels[0]!, large!.channels[0]!)).toBe(true);
  });

  it('gives the samples of every link of a chain', async () => {
    const [samples] = (await decode(name))!.channels;
    const chain = Buffer.concat([bytes, renumbered(bytes, 4_711), bytes]);
    const [chained] = (await decode(name, chain))!.channels;
    expect(chained).toHaveLength(3 * samples!.length);
    for (const link of [0, 1, 2]) {
      const start = link * samples!.length;
      const part = chained!.subarray(start, start + samples!.length);
      expect(isSameSignal(part, samples!)).toBe(true);
    }
  });

  it('gives what is there of a file that was cut off', async () => {
    const [samples] = (await decode(name))!.channels;
    const [cut] = (await decode(name, bytes.subarray(0, lastPageAt(bytes) + 20)))!.channels;
    expect(cut!.length).toBeGreaterThan(0);
    expect(cut!.length).toBeLessThan(samples!.length);
    expect(isSameSignal(cut!, samples!.subarray(0, cut!.length))).toBe(true);
  });

  it('cuts a recording from the middle of a stream at the same length', async () => {
    const shifted = Buffer.from(bytes);
    const offset = 123_456n;
    for (let at = shifted.indexOf('OggS'); at >= 0; at = shifted.indexOf('OggS', at + 4)) {
      const granule = shifted.readBigInt64LE(at + 6);
      if (granule > 0n) shifted.writeBigInt64LE(granule + offset, at + 6);
    }
    const [moved, plain] = [await decode(name, shifted), await decode(name)];
    expect(isSameSignal(moved!.channels[0]!, plain!.channels[0]!)).toBe(true);
  });
});

describe('vorbisCodec', () => {
  it('agrees with the decoder that wrote the WAV by 120 dB', async () => {
    const [samples] = (await decode('dog.ogg'))!.channels;
    const wav = readFixture('dog_44k_f32.wav');
    const data = wav.subarray(wav.indexOf('data') + 8);
    const expected = Float32Array.from(samples!, (_, index) => data.readFloatLE(index * 4));
    const error = samples!.map((value, index) => value - expected[index]!);
    const snr = decibels(rootMeanSquare(expected) / rootMeanSquare(error));
    expect(snr).toBeGreaterThan(120);
  });

  it.each([0, 9, 255])('refuses %i channels', async (numChannels) => {
    const bytes = readFixture('dog.ogg');
    bytes[bytes.indexOf('\x01vorbis') + 11] = numChannels;
    await expect(decode('dog.ogg', bytes)).rejects.toMatchObject({
      code: 'undecodable_audio',
      message: `Expected 1 to 8 channels in the Vorbis header, got ${numChannels}`,
    });
  });
});

describe('opusCodec', () => {
  const bytes = readFixture('dog.opus');
  const header = bytes.indexOf('OpusHead');

  it('applies the output gain of the header', async () => {
    const louder = Buffer.from(bytes);
    louder.writeInt16LE(-6 * 256, header + 16);
    const [plain] = (await decode('dog.opus'))!.channels;
    const [quiet] = (await decode('dog.opus', louder))!.channels;
    const ratio = rootMeanSquare(quiet!) / rootMeanSquare(plain!);
    expect(decibels(ratio)).toBeCloseTo(-6, 4);
  });

  it('leaves out as much of the start as the header says', async () => {
    const later = Buffer.from(bytes);
    later.writeUInt16LE(preSkip(bytes) + 480, header + 10);
    const [plain] = (await decode('dog.opus'))!.channels;
    const [cut] = (await decode('dog.opus', later))!.channels;
    expect(isSameSignal(cut!, plain!.subarray(480))).toBe(true);
  });

  it('gives each channel of a mapping its stream', async () => {
    const packets: Uint8Array[] = [];
    for await (const page of readOggStream(inPieces(bytes), 'OpusHead')) {
      packets.push(...page.packets);
    }
    const wide = Buffer.alloc(19 + 2 + 3);
    Buffer.from(packets[0]!).copy(wide);
    wide[9] = 3;
    wide[18] = 255;
    Buffer.from([1, 0, 0, 255, 0]).copy(wide, 19);
    const stream = Buffer.concat([
      writePage({ packets: [wide], isFirst: true }),
      writePage({ packets: packets.slice(1, 60), granule: -1 }),
    ]);
    const [first, silent, third] = (await decode('dog.opus', stream))!.channels;
    const [plain] = (await decode('dog.opus'))!.channels;
    expect(first!.length).toBeGreaterThan(40_000);
    expect(isSameSignal(first!, plain!.subarray(0, first!.length))).toBe(true);
    expect(isSameSignal(third!, first!)).toBe(true);
    expect(rootMeanSquare(silent!)).toBe(0);
  });
});

describe('parseOpusHeader', () => {
  const packet = (fields: Record<number, number>, length = 19) => {
    const bytes = Buffer.alloc(length);
    bytes.write('OpusHead');
    bytes[9] = 2;
    for (const [offset, value] of Object.entries(fields)) bytes[Number(offset)] = value;
    return bytes;
  };

  it('reads plain stereo', () => {
    expect(parseOpusHeader(packet({ 10: 0x38, 11: 0x01 }))).toEqual({
      numChannels: 2,
      preSkip: 312,
      gain: 1,
      numStreams: 1,
      numCoupledStreams: 1,
      channelMapping: [0, 1],
    });
  });

  it.each([
    ['nothing', undefined, '19 bytes, got 0'],
    ['a short packet', packet({}, 18), '19 bytes, got 18'],
    ['no channel', packet({ 9: 0 }), '1 to 8 channels, got 0'],
    ['nine channels', packet({ 9: 9, 18: 1 }, 40), '1 to 8 channels, got 9'],
    ['three channels without a mapping', packet({ 9: 3 }), '1 or 2 channels in family 0, got 3'],
    ['half a mapping', packet({ 18: 1, 19: 1 }, 22), '23 bytes, got 22'],
    ['no stream', packet({ 18: 1 }, 23), 'a channel mapping within its streams'],
    ['too many coupled', packet({ 18: 1, 19: 1, 20: 2 }, 23), 'within its streams'],
    ['a channel of no stream', packet({ 18: 1, 19: 1, 21: 1 }, 23), 'within its streams'],
  ])('refuses %s', (_, bytes, detail) => {
    expect(() => parseOpusHeader(bytes)).toThrowError(
      expect.objectContaining({
        code: 'undecodable_audio',
        message: expect.stringContaining(detail),
      }),
    );
  });
});

describe('GranuleTrimmer', () => {
  const page = (granule: number, isLast = false) => ({
    isFirst: false,
    isLast,
    granule,
    packets: [],
  });
  const ramp = (from: number, to: number) => [
    Float32Array.from({ length: to - from }, (_, index) => from + index),
  ];

  it('cuts both ends, over pages', () => {
    const trimmer = new GranuleTrimmer(5);
    expect(trimmer.trim(ramp(0, 4), page(4))).toEqual(ramp(4, 4));
    expect(trimmer.trim(ramp(4, 10), page(10))).toEqual(ramp(5, 10));
    expect(trimmer.trim(ramp(10, 20), page(13, true))).toEqual(ramp(10, 13));
  });

  it('takes a single page from zero', () => {
    expect(new GranuleTrimmer(0).trim(ramp(0, 10), page(7, true))).toEqual(ramp(0, 7));
  });

  it('keeps all where positions are missing or make no sense', () => {
    const trimmer = new GranuleTrimmer(0);
    expect(trimmer.trim(ramp(0, 4), page(-1))).toEqual(ramp(0, 4));
    expect(trimmer.trim(ramp(4, 8), page(3))).toEqual(ramp(4, 8));
    expect(trimmer.trim(ramp(8, 12), page(-1, true))).toEqual(ramp(8, 12));
  });

  it('gives nothing where the end lies before the start', () => {
    const trimmer = new GranuleTrimmer(100);
    expect(trimmer.trim(ramp(0, 50), page(20, true))).toEqual(ramp(0, 0));
  });
});
