import { beforeAll, describe, expect, it, vi } from 'vitest';
import { flacCodec } from '../../src/audio/codecs/flac.js';
import { type DecodedChannels, decodeAll, isSameSignal, readFixture } from './clips.js';
import { type FlacOptions, writeFlac, writeFrames, writeStreamInfo } from './flac-writer.js';
import { writePage } from './ogg-writer.js';

// The decoder tells of damage on the console.
beforeAll(() => void vi.spyOn(console, 'error').mockReturnValue());

const decode = (bytes: Uint8Array, pieceBytes?: number) =>
  decodeAll(flacCodec, bytes, { container: 'flac', ...(pieceBytes && { pieceBytes }) });
const decodeOgg = (bytes: Uint8Array) => decodeAll(flacCodec, bytes, { container: 'ogg' });

/** Whole numbers that use the full range of a width. */
function integers(bits: number, length: number, seed = 1): number[] {
  const half = 2 ** (bits - 1);
  let state = seed;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * 2 * half) - half;
  });
}

const toSamples = (values: readonly number[], bits: number) =>
  Float32Array.from(values, (value) => value / 2 ** (bits - 1));

function oggFlac(options: FlacOptions): Buffer {
  const description = writeStreamInfo(options);
  const mapping = Buffer.from('\x7fFLAC\x01\x00\x00\x00fLaC', 'latin1');
  const frames = writeFrames(options);
  return Buffer.concat([
    writePage({ packets: [Buffer.concat([mapping, description])], isFirst: true }),
    writePage({ packets: [Buffer.from('\x84\0\0\x04none', 'latin1')], sequence: 1 }),
    ...frames.map((frame, index) =>
      writePage({
        packets: [frame],
        sequence: index + 2,
        granule: (index + 1) * 256,
        isLast: index === frames.length - 1,
      }),
    ),
  ]);
}

const MONO_16: FlacOptions = {
  sampleRate: 44_100,
  bits: 16,
  channels: [integers(16, 10_000)],
  blockSamples: 1_000,
};

const whole = toSamples(MONO_16.channels[0] as number[], 16);

const isSameClip = (a?: DecodedChannels, b?: DecodedChannels) =>
  a?.sampleRate === b?.sampleRate && isSameSignal(a!.channels[0]!, b!.channels[0]!);

describe('flacCodec', () => {
  it.each([8, 16, 24])('gives back every bit of %i bit samples', async (bits) => {
    const fullScale = 2 ** (bits - 1);
    const left = [-fullScale, fullScale - 1, 0, 1, -1, ...integers(bits, 20_000)];
    const channels = [left, left.map((value) => ~value)];
    const decoded = await decode(writeFlac({ sampleRate: 48_000, bits, channels }));
    expect(decoded?.sampleRate).toBe(48_000);
    expect(decoded?.codec).toBe('flac');
    channels.forEach((values, channel) => {
      expect(isSameSignal(decoded!.channels[channel]!, toSamples(values, bits))).toBe(true);
    });
  });

  it('gives 32 bit samples as near as float32 comes', async () => {
    const values = integers(32, 3_000);
    const flac = writeFlac({ sampleRate: 96_000, bits: 32, channels: [values], isTerse: true });
    const [samples] = (await decode(flac))!.channels;
    samples!.forEach((value, index) => {
      expect(Math.abs(value - values[index]! / 2 ** 31)).toBeLessThan(2 ** -23);
    });
    expect(samples).toHaveLength(3_000);
  });

  it('takes width and an odd rate from the description alone', async () => {
    const flac = writeFlac({ ...MONO_16, sampleRate: 44_099, isTerse: true });
    const decoded = await decode(flac);
    expect(decoded?.sampleRate).toBe(44_099);
    expect(isSameSignal(decoded!.channels[0]!, whole)).toBe(true);
  });

  it.each([12, 17, 20])('refuses %i bits, which its decoder gets wrong', async (bits) => {
    const channels = [integers(bits, 3_000)];
    const flac = writeFlac({ sampleRate: 48_000, bits, channels, isTerse: true });
    const error = await decode(flac).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'unsupported_format',
      message: expect.stringContaining(`got ${bits} bit flac in flac`),
      extensions: { container: 'flac', codec: 'flac', needs: 'ffmpeg' },
    });
  });

  it('reads eight channels', async () => {
    const channels = Array.from({ length: 8 }, (_, seed) => integers(16, 700, seed + 1));
    const decoded = await decode(writeFlac({ sampleRate: 16_000, bits: 16, channels }));
    channels.forEach((values, channel) => {
      expect(isSameSignal(decoded!.channels[channel]!, toSamples(values, 16))).toBe(true);
    });
  });

  it('reads the same from Ogg', async () => {
    const options = { ...MONO_16, blockSamples: 256 };
    expect(isSameClip(await decodeOgg(oggFlac(options)), await decode(writeFlac(options)))).toBe(
      true,
    );
  });

  it.each([1, 7, 100])('does not depend on the pieces: %i bytes', async (pieceBytes) => {
    const flac = writeFlac({ ...MONO_16, channels: [integers(16, 3_500)] });
    expect(isSameClip(await decode(flac, pieceBytes), await decode(flac))).toBe(true);
  });

  it('reads a real recording to its last sample', async () => {
    const clip = readFixture('tabla.flac');
    const numSamples = clip.readUInt32BE(22); // STREAMINFO's total, which the decoder does not use
    const decoded = await decode(clip);
    expect(numSamples).toBeGreaterThan(40_000);
    expect(decoded?.channels[0]).toHaveLength(numSamples);
  });
});

describe('flacCodec with damaged streams', () => {
  const flac = writeFlac(MONO_16);
  const without = (start: number, end: number) =>
    Float32Array.of(...whole.subarray(0, start), ...whole.subarray(end));
  const header = 42;
  const frameBytes = writeFrames(MONO_16)[0]!.length;
  const inFrame = (index: number) => header + Math.floor((index + 0.5) * frameBytes);

  it('leaves out a frame with a wrong byte, and only that', async () => {
    const damaged = Buffer.from(flac);
    damaged[inFrame(3)]! ^= 0x10;
    const [samples] = (await decode(damaged))!.channels;
    expect(isSameSignal(samples!, without(3_000, 4_000))).toBe(true);
  });

  it('finds the next frame behind a gap', async () => {
    const damaged = Buffer.concat([flac.subarray(0, inFrame(2)), flac.subarray(inFrame(5))]);
    const [samples] = (await decode(damaged))!.channels;
    expect(isSameSignal(samples!, without(2_000, 6_000))).toBe(true);
  });

  it('keeps the whole frames of a file that was cut off', async () => {
    const [samples] = (await decode(flac.subarray(0, inFrame(7))))!.channels;
    expect(isSameSignal(samples!, whole.slice(0, 7_000))).toBe(true);
  });

  it('leaves out a tag behind the last frame', async () => {
    const tag = Buffer.concat([Buffer.from('TAG'), Buffer.alloc(125, 'x')]);
    expect(isSameClip(await decode(Buffer.concat([flac, tag])), await decode(flac))).toBe(true);
  });

  it('is not misled by sound that looks like a header', async () => {
    // The bytes of a whole frame header of the stream, as 16 bit samples.
    const lure = writeFrames(MONO_16)[5]!.subarray(0, 12);
    const values = integers(16, 2_000);
    for (let index = 0; index < 6; index++) values[500 + index] = lure.readInt16BE(index * 2);
    const other = { ...MONO_16, channels: [values] };
    const decoded = await decode(writeFlac(other));
    expect(decoded?.channels[0]?.length).toBe(1_000); // one frame is lost, as the text says
    expect(isSameSignal(decoded!.channels[0]!, toSamples(values.slice(1_000), 16))).toBe(true);
  });

  it.each([
    ['no marker', Buffer.from('fLaX')],
    ['no description', Buffer.concat([Buffer.from('fLaC'), Buffer.from([0x81, 0, 0, 2, 0, 0])])],
    ['half a description', flac.subarray(0, 30)],
  ])('refuses %s', async (_, bytes) => {
    await expect(decode(bytes)).rejects.toMatchObject({ code: 'undecodable_audio' });
  });
});
