import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wavCodec } from '../../src/audio/codecs/wav.js';
import { ServiceError } from '../../src/errors.js';
import { decodeAll, isSameSignal } from './clips.js';
import {
  SAMPLE_KINDS,
  type SampleKind,
  toALaw,
  toInteger,
  toMuLaw,
  type WavOptions,
  writeWav,
} from './wav-writer.js';

const decode = (bytes: Uint8Array, pieceBytes?: number) =>
  decodeAll(wavCodec, bytes, { container: 'wav', ...(pieceBytes && { pieceBytes }) });

/** Full scale, its neighbours, zero and values between, for two unlike channels. */
const LEFT = [-1, -0.999, -0.5, -1 / 3, -1e-3, 0, 1e-3, 0.2, 0.5, 0.75, 0.999, 1];
const RIGHT = LEFT.map((value) => 0 - value / 2);
const STEREO = { sampleRate: 44_100, channels: [LEFT, RIGHT] };

const BITS = { u8: 8, s16: 16, s24: 24, s32: 32 } as const;
const CODECS: Readonly<Record<SampleKind, string>> = {
  u8: 'pcm_u8',
  s16: 'pcm_s16le',
  s24: 'pcm_s24le',
  s32: 'pcm_s32le',
  f32: 'pcm_f32le',
  f64: 'pcm_f64le',
  mulaw: 'pcm_mulaw',
  alaw: 'pcm_alaw',
};

const problem = (code: string, detail: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(detail) });

describe('wavCodec', () => {
  it.each(['u8', 's16', 's24', 's32'] as const)('divides %s by one full scale', async (kind) => {
    const decoded = await decode(writeWav({ ...STEREO, kind }));
    const fullScale = 2 ** (BITS[kind] - 1);
    const expected = (value: number) => Math.fround(toInteger(value, BITS[kind]) / fullScale);
    expect(decoded).toEqual({
      codec: CODECS[kind],
      sampleRate: 44_100,
      channels: [LEFT, RIGHT].map((values) => Float32Array.from(values, expected)),
    });
  });

  it.each(['f32', 'f64'] as const)('takes %s as it is', async (kind) => {
    const decoded = await decode(writeWav({ ...STEREO, kind }));
    expect(decoded?.codec).toBe(CODECS[kind]);
    expect(decoded?.channels).toEqual([LEFT, RIGHT].map((values) => Float32Array.from(values)));
  });

  it.each([
    ['mulaw', toMuLaw, { 0: -32_124, 128: 32_124, 127: 0, 255: 0, 240: 120 }],
    ['alaw', toALaw, { 42: -32_256, 170: 32_256, 85: -8, 213: 8 }],
  ] as const)('expands %s as G.711 says', async (kind, encode, known) => {
    const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
    const wav = writeWav({ kind, sampleRate: 8_000, channels: [new Float32Array(256)] });
    wav.set(codes, wav.length - 256);
    const [values] = (await decode(wav))!.channels;
    const samples = Array.from(values!, (value) => value * 2 ** 15 + 0);
    for (const [code, sample] of Object.entries(known)) expect(samples[Number(code)]).toBe(sample);
    // Every level is encoded to its own code again; mu-law has two zeros.
    samples.forEach((sample, code) => {
      expect(encode(sample)).toBe(kind === 'mulaw' && code === 0x7f ? 0xff : code);
    });
  });

  const payload = (length: number) => Buffer.alloc(length, 'x');
  const variants: Readonly<Record<string, Partial<WavOptions>>> = {
    RF64: { form: 'RF64' },
    W64: { form: 'W64' },
    'an extensible header': { isExtensible: true },
    'W64 with an extensible header': { form: 'W64', isExtensible: true },
    'a size of 0': { dataBytes: 0 },
    'an unknown size': { dataBytes: 0xffff_ffff },
    'a size beyond the end': { dataBytes: 0x7fff_ffff },
    'RF64 with a size in its place': { form: 'RF64', dataBytes: 48 },
    'a chunk of odd length': { chunks: [{ id: 'LIST', payload: payload(301) }] },
    'a long chunk before the format': { chunks: [{ id: 'JUNK', payload: payload(200_001) }] },
    'W64 with an unaligned chunk': { form: 'W64', chunks: [{ id: 'junk', payload: payload(13) }] },
  };

  it.each(Object.keys(variants))('reads the same samples from %s', async (name) => {
    const plain = await decode(writeWav({ ...STEREO, kind: 's16' }));
    expect(await decode(writeWav({ ...STEREO, kind: 's16', ...variants[name] }))).toEqual(plain);
  });

  it.each(SAMPLE_KINDS)('does not depend on the pieces, %s in three channels', async (kind) => {
    const channels = [3, 5, 7].map((step) =>
      Float32Array.from({ length: 5_000 }, (_, index) => ((index * step) % 199) / 200 - 0.5),
    );
    const wav = writeWav({ kind, sampleRate: 48_000, channels });
    const whole = await decode(wav, wav.length);
    expect(whole?.channels.map((samples) => samples.length)).toEqual([5_000, 5_000, 5_000]);
    const pieces = await decode(wav, 1_001);
    whole!.channels.forEach((samples, channel) => {
      expect(isSameSignal(pieces!.channels[channel]!, samples)).toBe(true);
    });
  });

  it('keeps what is there of a file that was cut off', async () => {
    const wav = writeWav({ ...STEREO, kind: 's24' });
    const decoded = await decode(wav.subarray(0, wav.length - 8));
    expect(decoded?.channels[0]).toHaveLength(LEFT.length - 2);
  });

  it('leaves chunks behind the samples alone', async () => {
    const wav = writeWav({ ...STEREO, kind: 's16' });
    const tail = Buffer.from('LIST\x04\0\0\0abcd');
    expect(await decode(Buffer.concat([wav, tail]))).toEqual(await decode(wav));
  });

  it('gives nothing for an empty data chunk', async () => {
    expect(await decode(writeWav({ kind: 's16', sampleRate: 8_000, channels: [[]] }))).toBe(
      undefined,
    );
  });
});

describe('wavCodec refuses', () => {
  /** A WAV file with one field of its format chunk changed. */
  const changed = (offset: number, value: number, bytes: 2 | 4 = 2) => {
    const wav = writeWav({ ...STEREO, kind: 's16' });
    wav.writeUIntLE(value, 20 + offset, bytes);
    return wav;
  };

  it.each([
    ['no channel', changed(2, 0), '1 to 64 channels'],
    ['65 channels', changed(2, 65), '1 to 64 channels in the WAV header, got 65'],
    ['a rate of 0', changed(4, 0, 4), '1000 to 768000 Hz'],
    ['4.29 GHz', changed(4, 0xffff_ffff, 4), 'got 4294967295'],
    ['blocks of another size', changed(12, 3), 'blocks of 2 x 2 bytes in the WAV header, got 3'],
    ['a width of 0', changed(14, 0), 'a known width, got 0 bits'],
    ['40 bit integers', changed(14, 40), 'got 40 bits'],
  ])('%s', async (_, wav, detail) => {
    await expect(decode(wav)).rejects.toEqual(problem('undecodable_audio', detail));
  });

  it.each([
    [2, 'adpcm_ms'],
    [17, 'adpcm_ima_wav'],
    [85, 'mp3'],
    [0x1234, 'wav_format_0x1234'],
  ])('format tag %i as %s', async (tag, codec) => {
    const error = await decode(changed(0, tag)).catch((thrown: unknown) => thrown);
    expect(error).toEqual(problem('unsupported_format', codec));
    expect(error).toMatchObject({ extensions: { container: 'wav', codec, needs: 'ffmpeg' } });
  });

  it.each([
    ['a header without samples', 36, 'a data chunk'],
    ['a header that is cut off', 30, 'a format chunk of 16 bytes, got 10'],
    ['no chunk at all', 12, 'a data chunk'],
  ])('%s', async (_, length, detail) => {
    const wav = writeWav({ ...STEREO, kind: 's16' }).subarray(0, length);
    await expect(decode(wav)).rejects.toEqual(problem('undecodable_audio', detail));
  });

  it('samples before their format', async () => {
    const wav = Buffer.from('RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd', 'latin1');
    await expect(decode(wav)).rejects.toEqual(problem('undecodable_audio', 'format chunk before'));
  });
});

describe('wavCodec, whatever the bytes', () => {
  const seeds = [
    writeWav({ ...STEREO, kind: 's16' }),
    writeWav({ ...STEREO, kind: 'f64', form: 'W64' }),
    writeWav({ ...STEREO, kind: 'u8', form: 'RF64' }),
    writeWav({ ...STEREO, kind: 's24', isExtensible: true }),
  ];
  const edits = fc.array(fc.tuple(fc.nat(150), fc.nat(255)), { maxLength: 12 });
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), edits, fc.nat(400))
    .map(([seed, changes, length]) => {
      const bytes = Buffer.from(seed);
      for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
      return bytes.subarray(0, length);
    });
  const random = fc.uint8Array({ maxLength: 600 }).map((tail) => {
    const head = Buffer.from('RIFF\0\0\0\0WAVEfmt \x10\0\0\0', 'latin1');
    return Buffer.concat([head, tail]);
  });

  it('answers or refuses by name, and holds at most 16 times the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, random), async (bytes) => {
        try {
          const decoded = await decode(bytes);
          const held = (decoded?.channels ?? []).reduce((sum, c) => sum + c.byteLength, 0);
          expect(held).toBeLessThanOrEqual(16 * bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
