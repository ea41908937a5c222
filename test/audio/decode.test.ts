import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createDecoder, type Decoder, type DecoderOptions } from '../../src/audio/decode.js';
import { decodeClip } from '../../src/audio/decode-clip.js';
import { ClipFolder, fixturePath, isSameSignal, readFixture } from './clips.js';
import { writeFlac } from './flac-writer.js';

const LIMITS = { targetSampleRate: 16_000, maxClipSeconds: 600 };
const dog = fixturePath('dog.ogg');

const folder = new ClipFolder();
const opened: Decoder[] = [];
afterEach(() => Promise.all(opened.splice(0).map((decoder) => decoder.close())));
afterAll(() => folder.remove());

function open(options: Partial<DecoderOptions> = {}): Decoder {
  const decoder = createDecoder({ ...LIMITS, threads: 1, timeoutMs: 60_000, ...options });
  opened.push(decoder);
  return decoder;
}

/** A clip that takes longer to decode than any test: weeks of silence in 3 MB. */
function endlessClip(): string {
  const channels = [new Int8Array(65_535)];
  const flac = writeFlac({ sampleRate: 8_000, bits: 16, channels, blockSamples: 65_535 });
  return folder.write(Buffer.concat([flac, ...Array(200_000).fill(flac.subarray(42))]));
}
const ENDLESS = { ...LIMITS, maxClipSeconds: Number.MAX_SAFE_INTEGER };

/** A thread that hangs or ends without a word, as the number in the clip says. */
const worker = new URL('./stand-in-worker.ts', import.meta.url);
const writeNumber = (number: number) => folder.write(Buffer.from(String(number)));

describe('createDecoder', () => {
  it('gives in its threads what the same thread gives', async () => {
    const decoder = open({ threads: 2 });
    const names = ['dog_32k.ogg', 'dog.opus', 'tabla.flac', 'dog_44k.mp3', 'dog_8k_u8.wav'];
    const paths = names.map(fixturePath);
    const clips = await Promise.all(paths.map((path) => decoder.decode(path, {})));
    for (const [index, path] of paths.entries()) {
      const expected = await decodeClip(path, LIMITS);
      const { waveform, format } = clips[index]!;
      expect(isSameSignal(waveform.samples, expected.waveform.samples)).toBe(true);
      expect(waveform.sampleRate).toBe(16_000);
      expect(format).toEqual(expected.format);
    }
  });

  it('names what it refuses, with all that belongs to it', async () => {
    const decoder = open({ maxClipSeconds: 2 });
    await expect(decoder.decode(fixturePath('dog_44k.aac'), {})).rejects.toMatchObject({
      name: 'ServiceError',
      code: 'unsupported_format',
      status: 415,
      extensions: { container: 'adts', codec: 'aac', needs: 'ffmpeg' },
    });
    await expect(decoder.decode(dog, {})).rejects.toMatchObject({
      code: 'clip_too_long',
      extensions: { max_seconds: 2 },
    });
  });

  it('fails without blaming the clip where the file is gone', async () => {
    const decoding = open().decode(`${dog}.gone`, {});
    await expect(decoding).rejects.toThrow('ENOENT');
    await expect(decoding).rejects.not.toHaveProperty('code');
  });

  it('works on after clips that break its decoders', async () => {
    const decoder = open();
    for (const name of ['dog.opus', 'dog_32k.ogg', 'tabla.flac', 'dog_44k.mp3']) {
      const bytes = readFixture(name);
      for (let index = 120; index < bytes.length; index += 7) bytes[index] = (index * 31) & 0xff;
      const refusal = await decoder
        .decode(folder.write(bytes), {})
        .catch((error: unknown) => error);
      if (refusal instanceof Error) expect(refusal).toHaveProperty('code');
    }
    const { waveform } = await decoder.decode(dog, {});
    const expected = await decodeClip(dog, LIMITS);
    expect(isSameSignal(waveform.samples, expected.waveform.samples)).toBe(true);
  });
});

describe('the time for a clip', () => {
  it('ends a decoder that is at work', async () => {
    const decoding = open({ ...ENDLESS, timeoutMs: 300 }).decode(endlessClip(), {});
    await expect(decoding).rejects.toMatchObject({
      code: 'decode_budget_exceeded',
      message: 'Expected to decode within 300 ms',
    });
  });

  it('does not run while the clip waits for a thread, and the next clip gets a new one', async () => {
    const decoder = open({ worker, timeoutMs: 500 });
    const hanging = [-1, -1].map((number) => decoder.decode(writeNumber(number), {}));
    const waiting = decoder.decode(writeNumber(0), {});
    for (const decoding of await Promise.allSettled(hanging)) {
      expect(decoding).toMatchObject({ reason: { code: 'decode_budget_exceeded' } });
    }
    expect((await waiting).waveform.samples).toEqual(Float32Array.of(0.5));
  });
});

describe('an aborted clip', () => {
  it('rejects with the reason, running or waiting, and frees the thread', async () => {
    const decoder = open(ENDLESS);
    await decoder.decode(dog, {}); // the thread is up
    const [running, waiting] = [new AbortController(), new AbortController()];
    const clip = endlessClip();
    const decodings = [running, waiting].map(({ signal }) =>
      decoder.decode(clip, { signal }).catch((error: unknown) => error),
    );
    const next = decoder.decode(dog, {});
    const [gone, late] = [new Error('the client is gone'), new Error('the deadline has passed')];
    waiting.abort(late);
    running.abort(gone);
    expect(await Promise.all(decodings)).toEqual([gone, late]);
    expect((await next).waveform.samples).toHaveLength(80_016);
  });

  it('is not begun if the signal was aborted before', async () => {
    const reason = new Error('too late');
    const signal = AbortSignal.abort(reason);
    await expect(open().decode(dog, { signal })).rejects.toBe(reason);
  });
});

describe('a thread that ends on its own', () => {
  it('costs one retry', async () => {
    const decoder = open({ worker });
    const { waveform } = await decoder.decode(writeNumber(1), {});
    expect(waveform.samples).toEqual(Float32Array.of(0.5));
  });

  it('is taken for the fault of the clip the second time', async () => {
    const decoder = open({ worker });
    await expect(decoder.decode(writeNumber(9), {})).rejects.toMatchObject({
      code: 'undecodable_audio',
      message: expect.stringContaining('2 decode threads ended on it'),
    });
    const { waveform } = await decoder.decode(writeNumber(0), {});
    expect(waveform.samples).toEqual(Float32Array.of(0.5));
  });
});

describe('threads that cannot start', () => {
  it('fail every clip instead of letting it wait', async () => {
    const decoder = open({ worker: new URL('./no-such-worker.ts', import.meta.url) });
    await expect(decoder.decode(dog, {})).rejects.toThrow('Decode threads cannot start');
    await expect(decoder.decode(dog, {})).rejects.toThrow('Decode threads cannot start');
  });
});

describe('close', () => {
  it('refuses what comes after it and ends what runs', async () => {
    const decoder = open(ENDLESS);
    await decoder.decode(dog, {});
    const running = decoder.decode(endlessClip(), {}).catch((error: unknown) => error);
    await decoder.close();
    expect(await running).toMatchObject({ code: 'draining' });
    await expect(decoder.decode(dog, {})).rejects.toMatchObject({ code: 'draining' });
  });
});
