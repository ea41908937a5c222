import { describe, expect, it } from 'vitest';
import { mp3Codec } from '../../src/audio/codecs/mp3.js';
import { isMpegFrameChain, parseMpegFrame } from '../../src/audio/codecs/mpeg-frame.js';
import { decodeAll, readFixture } from './clips.js';

const decode = (bytes: Uint8Array, codec = 'mp3') =>
  decodeAll(mp3Codec, bytes, { container: 'mp3', codec });

/** The clip without its tag: the codec gets it so. */
function withoutTag(name: string): Buffer {
  const bytes = readFixture(name);
  return bytes.subarray(bytes.indexOf(Buffer.from([0xff, 0xfb])));
}

/** A frame of layer II whose allocation is all zero: silence. 48 kHz, 192 kbit/s, stereo. */
const silentLayer2 = Buffer.concat([Buffer.from([0xff, 0xfd, 0xa4, 0x00]), Buffer.alloc(572)]);

describe('mp3Codec', () => {
  it('gives a mono file one channel and its true length', async () => {
    const decoded = await decode(withoutTag('dog_44k.mp3'));
    expect(decoded?.sampleRate).toBe(44_100);
    expect(decoded?.channels.map((samples) => samples.length)).toEqual([220_544]);
  });

  it('decodes layer II', async () => {
    const decoded = await decode(Buffer.concat(Array(5).fill(silentLayer2)), 'mp2');
    expect(decoded?.codec).toBe('mp2');
    expect(decoded?.sampleRate).toBe(48_000);
    expect(decoded?.channels).toHaveLength(2);
    expect(decoded?.channels[0]?.length).toBe(5 * 1_152);
    expect(decoded?.channels.every((samples) => samples.every((value) => value === 0))).toBe(true);
  });
});

describe('parseMpegFrame', () => {
  it.each([
    ['MPEG 1 layer III', [0xff, 0xfb, 0x90, 0x64], 3, 44_100, 2, 417],
    ['with padding', [0xff, 0xfb, 0x92, 0x64], 3, 44_100, 2, 418],
    ['MPEG 2 layer III, mono', [0xff, 0xf3, 0x70, 0xc4], 3, 22_050, 1, 182],
    ['MPEG 2.5 layer III', [0xff, 0xe3, 0x18, 0xc4], 3, 8_000, 1, 72],
    ['MPEG 1 layer II', [0xff, 0xfd, 0xa4, 0x00], 2, 48_000, 2, 576],
    ['MPEG 1 layer I', [0xff, 0xff, 0xc0, 0x00], 1, 44_100, 2, 416],
  ])('reads %s', (_, bytes, layer, sampleRate, numChannels, frameBytes) => {
    const frame = parseMpegFrame(Uint8Array.from([0, ...bytes]), 1);
    expect(frame).toEqual({ layer, sampleRate, numChannels, frameBytes });
  });

  it.each([
    ['no sync', [0xff, 0x1b, 0x90, 0x64]],
    ['AAC', [0xff, 0xf1, 0x50, 0x80]],
    ['a reserved version', [0xff, 0xeb, 0x90, 0x64]],
    ['a reserved rate', [0xff, 0xfb, 0x9c, 0x64]],
    ['a forbidden bit rate', [0xff, 0xfb, 0xf0, 0x64]],
    ['an unknown bit rate', [0xff, 0xfb, 0x00, 0x64]],
    ['half a header', [0xff]],
  ])('finds none in %s', (_, bytes) => {
    expect(parseMpegFrame(Uint8Array.from(bytes), 0)).toBe(undefined);
  });
});

describe('isMpegFrameChain', () => {
  const frames = (count: number) => Buffer.concat(Array(count).fill(silentLayer2));

  it('wants three frames, or the end if that may be', () => {
    expect(isMpegFrameChain(frames(3), 0)).toBe(true);
    expect(isMpegFrameChain(frames(2), 0)).toBe(false);
    expect(isMpegFrameChain(frames(2), 0, { mayEnd: true })).toBe(true);
    const broken = Buffer.concat([frames(1), Buffer.alloc(9)]);
    expect(isMpegFrameChain(broken, 0, { mayEnd: true })).toBe(false);
  });
});
