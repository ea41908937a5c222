import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createResampler, joinSamples } from '../../src/audio/resample.js';
import { ServiceError } from '../../src/errors.js';
import { ClipFolder, fixturePath, isSameSignal, readFixture } from './clips.js';
import { writeFlac } from './flac-writer.js';
import { decibels, rootMeanSquare, tone } from './signals.js';
import { writeWav } from './wav-writer.js';
import { decodeWhole, type WholeClip } from './whole-clip.js';

/** Windows of which each sample counts. */
const grid = { sampleRate: 16_000, windowSeconds: 60, minSamples: 1 };
const LIMITS = { grid, maxClipSeconds: 600 };
const folder = new ClipFolder();
const decode = (bytes: Uint8Array, limits = LIMITS) => decodeWhole(folder.write(bytes), limits);

// Decoders tell of damage on the console.
beforeAll(() => void vi.spyOn(console, 'error').mockReturnValue());
afterAll(() => folder.remove());

/** How far a signal is from another, shifted by some samples; dB, more is nearer. */
function snr(actual: Float32Array, expected: Float32Array, shift = 0): number {
  const length = Math.min(actual.length, expected.length) - 20;
  const at = (index: number) => expected[index + 10]!;
  const wanted = Float32Array.from({ length }, (_, index) => at(index));
  const error = Float32Array.from(
    { length },
    (_, index) => actual[index + 10 + shift]! - at(index),
  );
  return decibels(rootMeanSquare(wanted) / rootMeanSquare(error));
}

function throughRate(samples: Float32Array, hz: number): Float32Array {
  const down = createResampler({ fromHz: 16_000, toHz: hz });
  const low = joinSamples([down.push(samples), down.flush()]);
  const up = createResampler({ fromHz: hz, toHz: 16_000 });
  return joinSamples([up.push(low), up.flush()]);
}

describe('one dog in all formats', () => {
  let reference: Float32Array;
  beforeAll(async () => {
    reference = (await decodeWhole(fixturePath('dog_44k_f32.wav'), LIMITS)).samples;
  });

  // Lossless ones differ by the resampler that made them; lossy ones by what they threw away.
  it.each([
    { name: 'dog.ogg', codec: 'vorbis', decoder: 'libvorbis', hz: 44_100, minSnr: 125 },
    { name: 'dog_48k_stereo_s24.wav', codec: 'pcm_s24le', decoder: 'wav', hz: 48_000, minSnr: 95 },
    { name: 'dog_96k.flac', codec: 'flac', decoder: 'libflac', hz: 96_000, minSnr: 70 },
    { name: 'dog_16k_s16.wav', codec: 'pcm_s16le', decoder: 'wav', hz: 16_000, minSnr: 38 },
    { name: 'dog_8k_mulaw.wav', codec: 'pcm_mulaw', decoder: 'wav', hz: 8_000, minSnr: 34 },
    { name: 'dog_8k_u8.wav', codec: 'pcm_u8', decoder: 'wav', hz: 8_000, minSnr: 34 },
    { name: 'dog_44k.mp3', codec: 'mp3', decoder: 'mpg123', hz: 44_100, minSnr: 17 },
    { name: 'dog_22k_lowrate.mp3', codec: 'mp3', decoder: 'mpg123', hz: 22_050, minSnr: 11 },
    { name: 'dog.opus', codec: 'opus', decoder: 'libopus', hz: 48_000, minSnr: 14 },
    { name: 'dog_32k.ogg', codec: 'vorbis', decoder: 'libvorbis', hz: 32_000, minSnr: 12 },
  ])('$name', async ({ name, codec, decoder, hz, minSnr }) => {
    const { samples, format } = await decodeWhole(fixturePath(name), LIMITS);
    const isStereo = name.includes('stereo'); // made with each channel at 0.7071
    const seconds = isStereo ? 2.5 : 220_544 / 44_100;
    expect(format).toMatchObject({ codec, decoder, sampleRate: hz, channels: isStereo ? 2 : 1 });
    expect(format.durationSeconds).toBeCloseTo(seconds, 3);
    expect(samples.length).toBe(Math.ceil(Math.round(seconds * hz) * (16_000 / hz)));
    const scaled = reference.map((value) => (isStereo ? value * Math.SQRT1_2 : value));
    const expected = hz < 16_000 ? throughRate(scaled, hz) : scaled;
    const near = snr(samples, expected);
    expect(near).toBeGreaterThan(minSnr);
    for (const shift of [-2, -1, 1, 2]) {
      expect(snr(samples, expected, shift)).toBeLessThan(near - 6);
    }
  });
});

describe('decodeClip', () => {
  const seconds = 0.5;
  const signal = (sampleRate: number) =>
    tone({ hz: 440, amplitude: 0.5, sampleRate, seconds }).map(
      (value) => Math.round(value * 2 ** 15) / 2 ** 15,
    );
  const asIntegers = (samples: Float32Array) => samples.map((value) => value * 2 ** 15);

  it('gives the same samples for the same sound from WAV and FLAC', async () => {
    const samples = signal(44_100);
    const channels = [asIntegers(samples), asIntegers(samples)];
    const flac = await decode(writeFlac({ sampleRate: 44_100, bits: 16, channels }));
    const wav = await decode(
      writeWav({ kind: 's16', sampleRate: 44_100, channels: [samples, samples] }),
    );
    expect(isSameSignal(flac.samples, wav.samples)).toBe(true);
    expect(wav.format).toEqual({
      container: 'wav',
      codec: 'pcm_s16le',
      decoder: 'wav',
      sampleRate: 44_100,
      channels: 2,
      durationSeconds: seconds,
    });
  });

  it('stays within full scale where the filter rings', async () => {
    const square = Float32Array.from({ length: 8_000 }, (_, index) => (index % 100 < 50 ? 1 : -1));
    const wav = writeWav({ kind: 'f32', sampleRate: 44_100, channels: [square] });
    const { samples } = await decode(wav);
    expect(Math.max(...samples)).toBe(1);
    expect(Math.min(...samples)).toBe(-1);
  });

  it('takes what is not a number for silence', async () => {
    const wild = Float32Array.of(0.25, Number.NaN, Number.POSITIVE_INFINITY, -1e38, 0.5);
    const wav = writeWav({ kind: 'f32', sampleRate: 16_000, channels: [wild] });
    expect((await decode(wav)).samples).toEqual(Float32Array.of(0.25, 0, 1, -1, 0.5));
  });

  it('goes on at another rate where a stream does', async () => {
    const flac = (sampleRate: number) => {
      const channels = [asIntegers(signal(sampleRate))];
      return writeFlac({ sampleRate, bits: 16, channels, blockSamples: 1_000 });
    };
    const both = Buffer.concat([flac(16_000), flac(32_000).subarray(42)]);
    const { samples, format } = await decode(both);
    expect(format).toMatchObject({ sampleRate: 16_000, durationSeconds: 2 * seconds });
    expect(samples).toHaveLength(16_000);
    const again = samples.subarray(8_000);
    expect(snr(again, samples.subarray(0, 8_000))).toBeGreaterThan(60);
  });

  it('decodes each link of a chain by its own headers', async () => {
    const links = [readFixture('dog.ogg'), readFixture('dog_32k.ogg')];
    const { samples, format } = await decode(Buffer.concat(links));
    expect(format).toMatchObject({ sampleRate: 44_100 });
    expect(format.durationSeconds).toBeCloseTo(220_544 / 44_100 + 160_032 / 32_000, 9);
    const alone = (await decode(links[1]!)).samples;
    expect(isSameSignal(samples.subarray(-alone.length), alone)).toBe(true);
  });

  it('reports what decoding and resampling took', async () => {
    const { decodeMs, resampleMs } = await decodeWhole(fixturePath('rooster.ogg'), LIMITS);
    expect(decodeMs).toBeGreaterThan(0);
    expect(resampleMs).toBeGreaterThan(0);
  });

  it.each([
    ['no bytes', Buffer.alloc(0), 'empty_audio'],
    ['no samples', writeWav({ kind: 's16', sampleRate: 8_000, channels: [[]] }), 'empty_audio'],
    ['a FLAC header alone', readFixture('tabla.flac').subarray(0, 86), 'empty_audio'],
    ['text', Buffer.from('not a sound'), 'unsupported_format'],
  ])('refuses %s', async (_, bytes, code) => {
    await expect(decode(bytes)).rejects.toMatchObject({ code });
  });

  it.each([
    ['dog_44k.aac', 'adts', 'aac'],
    ['dog_44k_aac.m4a', 'mp4', 'aac'],
    ['dog_opus.webm', 'webm', 'opus'],
    ['dog_22k_ima.wav', 'wav', 'adpcm_ima_wav'],
  ])('names what %s is and what would decode it', async (name, container, codec) => {
    await expect(decodeWhole(fixturePath(name), LIMITS)).rejects.toMatchObject({
      code: 'unsupported_format',
      message: expect.stringContaining(`got ${codec} in ${container}, which needs ffmpeg`),
      extensions: {
        container,
        codec,
        accepted: expect.arrayContaining(['wav', 'ogg/opus']),
        needs: 'ffmpeg',
      },
    });
  });
});

describe('the longest clip', () => {
  const half = { ...LIMITS, maxClipSeconds: 0.5 };
  const wav = (numSamples: number) =>
    writeWav({ kind: 'u8', sampleRate: 8_000, channels: [new Float32Array(numSamples)] });

  it('passes; one sample more does not', async () => {
    expect((await decode(wav(4_000), half)).format.durationSeconds).toBe(0.5);
    await expect(decode(wav(4_001), half)).rejects.toMatchObject({
      code: 'clip_too_long',
      message: 'Expected at most 0.5 s of audio, got more',
      extensions: { max_seconds: 0.5 },
    });
  });

  it('bounds what a file of silence can become', async () => {
    // 100 000 frames of silence: 1.5 MB that would be 6 500 million samples, 41 hours.
    const block = new Int8Array(65_535);
    const options = { sampleRate: 44_100, bits: 16, channels: [block], blockSamples: 65_535 };
    const frame = writeFlac(options).subarray(42);
    const bomb = Buffer.concat([writeFlac(options), ...Array(100_000).fill(frame)]);
    const before = process.memoryUsage().arrayBuffers;
    await expect(decode(bomb, { ...LIMITS, maxClipSeconds: 20 })).rejects.toMatchObject({
      code: 'clip_too_long',
    });
    const grown = process.memoryUsage().arrayBuffers - before;
    expect(grown).toBeLessThan(64 * 2 ** 20);
  });
});

describe('damaged clips', () => {
  const names = ['dog_16k_s16.wav', 'dog_44k.mp3', 'tabla.flac', 'dog_32k.ogg', 'dog.opus'];

  it.each(names)('%s cut off anywhere is shorter or refused by name', async (name) => {
    const bytes = readFixture(name);
    const whole = (await decode(bytes)).format.durationSeconds;
    const cut = fc.integer({ min: 0, max: bytes.length });
    await fc.assert(
      fc.asyncProperty(cut, async (length) => {
        const decoded = await outcome(bytes.subarray(0, length));
        if (decoded) expect(decoded.format.durationSeconds).toBeLessThanOrEqual(whole + 1e-9);
      }),
      { numRuns: 16, examples: [[3], [44], [100], [bytes.length - 1]] },
    );
  });

  it.each(names)('%s with wrong bytes is decoded or refused by name', async (name) => {
    const bytes = readFixture(name);
    const place = fc.oneof(fc.nat(200), fc.nat(bytes.length - 1));
    const edits = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(edits, async (changes) => {
        const damaged = Buffer.from(bytes);
        for (const [offset, value] of changes) damaged[offset] = value;
        const decoded = await outcome(damaged);
        const isSound = (value: number) => value >= -1 && value <= 1;
        if (decoded) expect(decoded.samples.every(isSound)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it.each(names)('%s with its middle overwritten is decoded or refused by name', async (name) => {
    const bytes = readFixture(name);
    for (const filler of [0x00, 0xff, 0x4f]) {
      const damaged = Buffer.from(bytes);
      damaged.fill(filler, bytes.length >> 2, bytes.length >> 1);
      await outcome(damaged);
      await outcome(Buffer.concat([bytes.subarray(0, 200), Buffer.alloc(20_000, filler)]));
    }
  });

  /** The clip, or undefined if it was refused; anything but a refusal by name fails. */
  async function outcome(bytes: Uint8Array): Promise<WholeClip | undefined> {
    try {
      return await decode(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(ServiceError);
      expect(['unsupported_format', 'undecodable_audio', 'empty_audio', 'clip_too_long']).toContain(
        (error as ServiceError).code,
      );
      return undefined;
    }
  }
});
