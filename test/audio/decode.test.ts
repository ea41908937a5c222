import { afterAll, afterEach, describe, expect, it } from 'vitest';
import {
  createDecoder,
  type DecodedWindow,
  type Decoder,
  type DecoderOptions,
} from '../../src/audio/decode.js';
import { ClipFolder, fixturePath, isSameSignal, readFixture } from './clips.js';
import { writeFlac } from './flac-writer.js';
import { writeWav } from './wav-writer.js';
import { decodeIn, decodeWhole, WHOLE_PLAN } from './whole-clip.js';

const dog = fixturePath('dog.ogg');

const folder = new ClipFolder();
const opened: Decoder[] = [];
afterEach(() => Promise.all(opened.splice(0).map((decoder) => decoder.close())));
afterAll(() => folder.remove());

function open(options: Partial<DecoderOptions> = {}): Decoder {
  const defaults = { threads: 1, maxClipSeconds: 600, timeoutMs: 60_000 };
  const decoder = createDecoder({ ...defaults, ...options });
  opened.push(decoder);
  return decoder;
}

/** A clip that takes longer to decode than any test: weeks of silence in 3 MB. */
function endlessClip(): string {
  const channels = [new Int8Array(65_535)];
  const flac = writeFlac({ sampleRate: 8_000, bits: 16, channels, blockSamples: 65_535 });
  return folder.write(Buffer.concat([flac, ...Array(200_000).fill(flac.subarray(42))]));
}
const ENDLESS = { maxClipSeconds: Number.MAX_SAFE_INTEGER };

/** A clip of so many windows of 10 s. */
function longClip(numWindows: number): string {
  const samples = new Float32Array(numWindows * 8_000 * 9.92);
  return folder.write(writeWav({ kind: 'u8', sampleRate: 8_000, channels: [samples] }));
}

/** A promise that the test settles. */
function gate(): { opened: Promise<void>; open: () => void } {
  let openIt = () => {};
  const opened = new Promise<void>((resolve) => {
    openIt = resolve;
  });
  return { opened, open: openIt };
}

/** A thread that hangs or ends without a word, as the number in the clip says. */
const worker = new URL('./stand-in-worker.ts', import.meta.url);
const writeNumber = (number: number) => folder.write(Buffer.from(String(number)));
const indicesOf = ({ windows }: { windows: readonly DecodedWindow[] }) =>
  windows.map(({ samples }) => samples[0]);

describe('createDecoder', () => {
  it('gives in its threads what the same thread gives', async () => {
    const decoder = open({ threads: 2 });
    const names = ['dog_32k.ogg', 'dog.opus', 'tabla.flac', 'dog_44k.mp3', 'dog_8k_u8.wav'];
    const paths = names.map(fixturePath);
    const clips = await Promise.all(paths.map((path) => decodeIn(decoder, path)));
    for (const [index, path] of paths.entries()) {
      const expected = await decodeWhole(path);
      const clip = clips[index]!;
      expect(isSameSignal(clip.samples, expected.samples)).toBe(true);
      expect(clip.format).toEqual(expected.format);
      expect(clip.facts).toEqual(expected.facts);
    }
  });

  it('names what it refuses, with all that belongs to it', async () => {
    const decoder = open({ maxClipSeconds: 2 });
    await expect(decodeIn(decoder, fixturePath('dog_44k.aac'))).rejects.toMatchObject({
      name: 'ServiceError',
      code: 'unsupported_format',
      status: 415,
      extensions: { container: 'adts', codec: 'aac', needs: 'ffmpeg' },
    });
    await expect(decodeIn(decoder, dog)).rejects.toMatchObject({
      code: 'clip_too_long',
      extensions: { max_seconds: 2 },
    });
  });

  it('fails without blaming the clip where the file is gone', async () => {
    const decoding = decodeIn(open(), `${dog}.gone`);
    await expect(decoding).rejects.toThrow('ENOENT');
    await expect(decoding).rejects.not.toHaveProperty('code');
  });

  it('works on after clips that break its decoders', async () => {
    const decoder = open();
    for (const name of ['dog.opus', 'dog_32k.ogg', 'tabla.flac', 'dog_44k.mp3']) {
      const bytes = readFixture(name);
      for (let index = 120; index < bytes.length; index += 7) bytes[index] = (index * 31) & 0xff;
      const refusal = await decodeIn(decoder, folder.write(bytes)).catch((error: unknown) => error);
      if (refusal instanceof Error) expect(refusal).toHaveProperty('code');
    }
    const { samples } = await decodeIn(decoder, dog);
    expect(isSameSignal(samples, (await decodeWhole(dog)).samples)).toBe(true);
  });
});

describe('a clip whose windows are not taken', () => {
  it('is not read much further, and lets other clips of its thread pass', async () => {
    const decoder = open();
    const hold = gate();
    let numTaken = 0;
    const onWindow = () => {
      numTaken += 1;
      return hold.opened;
    };
    const path = longClip(30);
    const long = [1, 2, 3].map(() => decoder.decode(path, WHOLE_PLAN, { onWindow }));
    const short = await Promise.all([dog, dog, dog, dog].map((each) => decodeIn(decoder, each)));
    expect(short.map(({ samples }) => samples.length)).toEqual(Array(4).fill(80_016));
    expect(numTaken).toBe(3);
    hold.open();
    await Promise.all(long);
    expect(numTaken).toBe(90);
  });

  it('may wait for longer than it may be worked on', async () => {
    const decoder = open({ timeoutMs: 1500 });
    const hold = gate();
    const waiting = decoder.decode(longClip(4), WHOLE_PLAN, { onWindow: () => hold.opened });
    // As long as another takes to use up more time than that.
    const endless = open({ ...ENDLESS, timeoutMs: 2500 });
    await expect(decodeIn(endless, endlessClip())).rejects.toMatchObject({
      code: 'decode_budget_exceeded',
    });
    hold.open();
    expect((await waiting).heardSeconds).toBeCloseTo(39.68, 6);
  });

  it('ends with what its taker throws', async () => {
    const refusal = new Error('the queue is full');
    const decoding = open().decode(longClip(4), WHOLE_PLAN, {
      onWindow: () => Promise.reject(refusal),
    });
    await expect(decoding).rejects.toBe(refusal);
  });
});

describe('the time for a clip', () => {
  it('ends a decoder that is at work', async () => {
    const decoding = decodeIn(open({ ...ENDLESS, timeoutMs: 300 }), endlessClip());
    await expect(decoding).rejects.toMatchObject({
      code: 'decode_budget_exceeded',
      message: 'Expected to decode within 300 ms',
    });
  });

  it('ends a thread that hangs; clips that waited for it get a new one', async () => {
    const decoder = open({ worker, timeoutMs: 500 });
    const hanging = [-1, -1].map((number) => decodeIn(decoder, writeNumber(number)));
    const waiting = decodeIn(decoder, writeNumber(0));
    for (const decoding of await Promise.allSettled(hanging)) {
      expect(decoding).toMatchObject({ reason: { code: 'decode_budget_exceeded' } });
    }
    expect(indicesOf(await waiting)).toEqual([0, 1, 2, 3]);
  });
});

describe('an aborted clip', () => {
  it('rejects with the reason, running or waiting, and frees the thread', async () => {
    const decoder = open(ENDLESS);
    await decodeIn(decoder, dog); // the thread is up
    const [running, waiting] = [new AbortController(), new AbortController()];
    const clip = endlessClip();
    const decodings = [running, waiting].map(({ signal }) =>
      decodeIn(decoder, clip, { signal }).catch((error: unknown) => error),
    );
    const next = decodeIn(decoder, dog);
    const [gone, late] = [new Error('the client is gone'), new Error('the deadline has passed')];
    waiting.abort(late);
    running.abort(gone);
    expect(await Promise.all(decodings)).toEqual([gone, late]);
    expect((await next).samples).toHaveLength(80_016);
  });

  it('is not begun if the signal was aborted before', async () => {
    const reason = new Error('too late');
    const signal = AbortSignal.abort(reason);
    await expect(decodeIn(open(), dog, { signal })).rejects.toBe(reason);
  });
});

describe('a thread that ends on its own', () => {
  it('costs one retry, which gives no window again', async () => {
    const decoder = open({ worker });
    expect(indicesOf(await decodeIn(decoder, writeNumber(1)))).toEqual([0, 1, 2, 3]);
  });

  it('is taken for the fault of the clip the second time', async () => {
    const decoder = open({ worker });
    await expect(decodeIn(decoder, writeNumber(9))).rejects.toMatchObject({
      code: 'undecodable_audio',
      message: expect.stringContaining('its decoder ended 2 times'),
    });
    expect(indicesOf(await decodeIn(decoder, writeNumber(0)))).toEqual([0, 1, 2, 3]);
  });
});

describe('threads that cannot start', () => {
  it('fail every clip instead of letting it wait', async () => {
    const decoder = open({ worker: new URL('./no-such-worker.ts', import.meta.url) });
    await expect(decodeIn(decoder, dog)).rejects.toThrow('Decode threads cannot start');
    await expect(decodeIn(decoder, dog)).rejects.toThrow('Decode threads cannot start');
  });
});

describe('close', () => {
  it('refuses what comes after it and ends what runs', async () => {
    const decoder = open(ENDLESS);
    await decodeIn(decoder, dog);
    const running = decodeIn(decoder, endlessClip()).catch((error: unknown) => error);
    await decoder.close();
    expect(await running).toMatchObject({ code: 'draining' });
    await expect(decodeIn(decoder, dog)).rejects.toMatchObject({ code: 'draining' });
  });
});
