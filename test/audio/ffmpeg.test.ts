import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Decoder } from '../../src/audio/decode.js';
import { openDecoder } from '../../src/audio/open-decoder.js';
import { ClipFolder, fixturePath, isSameSignal, readFixture } from './clips.js';
import { decibels, rootMeanSquare } from './signals.js';
import { describeWithFfmpeg, ffmpegPath, prlimitPath } from './system-ffmpeg.js';
import { decodeIn, type WholeClip } from './whole-clip.js';

const containerPath = (name: string) =>
  fileURLToPath(new URL(`../fixtures/containers/${name}`, import.meta.url));
const grid = { sampleRate: 16_000, windowSeconds: 60, minSamples: 1 };
const folder = new ClipFolder();
afterAll(() => folder.remove());

const open = (options: Partial<Parameters<typeof openDecoder>[0]> = {}): Promise<Decoder> =>
  openDecoder({
    threads: 1,
    maxClipSeconds: 600,
    timeoutMs: 60_000,
    ffmpegPath,
    prlimitPath,
    ...options,
  });

/** Processes that this one has started and that are there still, zombies among them. */
const childrenOf = (pid: number): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/stat`))
    .map((name) => readFileSync(`/proc/${name}/stat`, 'utf8'))
    .filter((stat) => stat.replace(/.*\) . /, '').startsWith(`${pid} `))
    .filter((stat) => stat.includes('(ffmpeg)') || stat.includes('(prlimit)'));

/** Loudness in steps of 20 ms: the same for the same sound, whatever a codec did to the waveform. */
function envelope(samples: Float32Array): number[] {
  const steps = Math.floor(samples.length / 320);
  return Array.from({ length: steps }, (_, step) =>
    rootMeanSquare(samples.subarray(step * 320, (step + 1) * 320)),
  );
}

function similarity(a: Float32Array, b: Float32Array): number {
  const [x, y] = [envelope(a), envelope(b)];
  const length = Math.min(x.length, y.length);
  const dot = (p: number[], q: number[]) =>
    p.slice(0, length).reduce((sum, value, step) => sum + value * (q[step] ?? 0), 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

describeWithFfmpeg('with ffmpeg', () => {
  let decoder: Decoder;
  let reference: WholeClip;
  beforeAll(async () => {
    decoder = await open();
    reference = await decodeIn(decoder, containerPath('bark_16k_s16.wav'), { grid });
  });
  afterAll(() => decoder.close());

  it('says which, and what it is good for', () => {
    expect(decoder.ffmpegVersion).toMatch(/^\S+$/);
    expect(decoder.formats).toEqual(expect.arrayContaining(['wav', 'mp4/m4a/mov', 'aiff']));
    expect(reference.format.decoder).toBe('wav');
  });

  it.each([
    ['bark_16k.aiff', 'aiff', 'pcm_s16be', 80],
    ['bark_16k.caf', 'caf', 'pcm_s16le', 80],
    ['bark_16k.wv', 'wavpack', 'wavpack', 80],
    ['bark_16k_alac.m4a', 'mp4', 'alac', 80],
    ['bark_16k_flac.mka', 'matroska', 'flac', 80],
    ['bark_16k.au', 'au', 'pcm_mulaw', 30],
    ['bark_16k_ms.wav', 'wav', 'adpcm_ms', 20],
  ])('reads %s to the sample', async (name, container, codec, minDb) => {
    const { samples, format, facts } = await decodeIn(decoder, containerPath(name), { grid });
    expect(format).toMatchObject({ container, codec, decoder: 'ffmpeg', sampleRate: 16_000 });
    expect(facts.silent).toBe(false);
    expect(format.channels).toBe(1);
    const error = reference.samples.map((value, index) => value - (samples[index] ?? 0));
    expect(decibels(rootMeanSquare(reference.samples) / rootMeanSquare(error))).toBeGreaterThan(
      minDb,
    );
    if (minDb === 80) expect(isSameSignal(samples, reference.samples)).toBe(true);
  });

  it.each([
    ['bark_16k.m2t', 'mpegts', 'aac', 16_000],
    ['bark_16k.wma', 'asf', 'wmav2', 16_000],
    ['bark_48k.ac3', 'ac3', 'ac3', 48_000],
    ['bark_16k_mp3.mp4', 'mp4', 'mp3', 16_000],
    ['bark_16k_vorbis.webm', 'webm', 'vorbis', 16_000],
    ['bark_16k_speex.ogg', 'ogg', 'speex', 16_000],
    ['bark_8k_gsm.wav', 'wav', 'gsm_ms', 8_000],
    ['bark_16k_video.mp4', 'mp4', 'aac', 16_000],
  ])('hears the bark in %s', async (name, container, codec, sampleRate) => {
    const { samples, format } = await decodeIn(decoder, containerPath(name), { grid });
    expect(format).toMatchObject({ container, codec, decoder: 'ffmpeg', sampleRate });
    expect(format.durationSeconds).toBeGreaterThan(1.15);
    expect(format.durationSeconds).toBeLessThan(1.35);
    // Lossy codecs begin late, or lose their beginning, where their container does not say so.
    const steps = Array.from({ length: 26 }, (_, step) => 160 * step);
    const best = Math.max(
      ...steps.map((late) => similarity(reference.samples, samples.subarray(late))),
      ...steps.map((early) => similarity(reference.samples.subarray(early), samples)),
    );
    expect(best).toBeGreaterThan(0.9);
  });

  it('reads the longer clips, too', async () => {
    const dog = await decodeIn(decoder, fixturePath('dog.ogg'), { grid });
    for (const name of ['dog_44k_aac.m4a', 'dog_44k.aac', 'dog_opus.webm', 'dog_22k_ima.wav']) {
      const { samples, format } = await decodeIn(decoder, fixturePath(name), { grid });
      expect(format.durationSeconds, name).toBeCloseTo(5, 0);
      expect(similarity(dog.samples, samples), name).toBeGreaterThan(0.9);
    }
  });

  it('reads a range of a clip, and no more than that', async () => {
    const path = fixturePath('dog_44k_aac.m4a');
    const whole = await decodeIn(decoder, path, { grid });
    const part = await decodeIn(decoder, path, { grid, startSeconds: 2, endSeconds: 3 });
    expect(part.heardSeconds).toBe(1);
    expect(part.format.durationSeconds).toBeCloseTo(3, 3);
    const middle = (samples: Float32Array) => samples.slice(1000, -1000);
    const expected = whole.samples.subarray(32_000, 48_000);
    expect(Math.max(...middle(part.samples).map((v, i) => v - middle(expected)[i]!))).toBeLessThan(
      1e-4,
    );
  });

  it('names a broken clip in one line, without a path', async () => {
    const bytes = readFixture('dog_44k_aac.m4a');
    const path = folder.write(bytes.subarray(0, 600));
    const decoding = decodeIn(decoder, path);
    await expect(decoding).rejects.toMatchObject({
      code: 'undecodable_audio',
      message: expect.stringMatching(/^Expected mp4, as the first bytes say; ffmpeg says: /),
    });
    await expect(decoding).rejects.not.toThrow(path);
  });

  it('refuses what neither decodes, and tells what would do', async () => {
    await expect(
      decodeIn(decoder, folder.write(Buffer.from('MThd\0\0\0\x06'))),
    ).rejects.toMatchObject({
      code: 'unsupported_format',
      extensions: { container: 'midi', accepted: expect.arrayContaining(['mp4/m4a/mov']) },
    });
  });

  it('stops at the longest clip', async () => {
    const short = await open({ maxClipSeconds: 2 });
    const decoding = decodeIn(short, fixturePath('dog_44k_aac.m4a'));
    await expect(decoding).rejects.toMatchObject({ code: 'clip_too_long' });
    await short.close();
  });

  it('leaves no child behind: after the end, an abort, a time-out, a close', async () => {
    const own = await open({ timeoutMs: 1 });
    const path = fixturePath('dog_44k_aac.m4a');
    await expect(decodeIn(own, path)).rejects.toMatchObject({ code: 'decode_budget_exceeded' });
    const abort = new AbortController();
    const aborted = decodeIn(decoder, path, { signal: abort.signal });
    await expect.poll(() => childrenOf(process.pid).length).toBeGreaterThan(0);
    abort.abort(new Error('gone'));
    await expect(aborted).rejects.toThrow('gone');
    const endless = await open();
    const never = new Promise<void>(() => {});
    const held = endless
      .decode(
        path,
        { channel: 'mix', startSeconds: 0, short: 'reject', grid: { ...grid, windowSeconds: 1 } },
        { onWindow: () => never },
      )
      .catch((error: unknown) => error);
    await expect.poll(() => childrenOf(process.pid).length).toBeGreaterThan(0);
    await Promise.all([own.close(), endless.close()]);
    expect(await held).toMatchObject({ code: 'draining' });
    await expect.poll(() => childrenOf(process.pid)).toEqual([]);
  });

  it('begins again when its child is killed, and gives no window twice', async () => {
    const path = fixturePath('dog_44k_aac.m4a');
    const seconds = { ...grid, windowSeconds: 1 };
    const whole = await decodeIn(decoder, path, { grid: seconds });
    const heard: number[] = [];
    let numKilled = 0;
    const plan = { channel: 'mix', startSeconds: 0, short: 'reject', grid: seconds } as const;
    const killFor = (times: number) => (window: { index: number }) => {
      heard.push(window.index);
      for (const stat of numKilled < times ? childrenOf(process.pid) : []) {
        process.kill(Number.parseInt(stat, 10), 'SIGKILL');
        numKilled += 1;
      }
    };
    await decoder.decode(path, plan, { onWindow: killFor(1) });
    expect(numKilled).toBe(1);
    expect(heard).toEqual(whole.windows.map(({ index }) => index));
    numKilled = 0;
    await expect(decoder.decode(path, plan, { onWindow: killFor(9) })).rejects.toMatchObject({
      code: 'undecodable_audio',
      message: 'Expected a decodable clip; its decoder ended 2 times',
    });
  });

  it('opens nothing but the clip, whatever a playlist names', async () => {
    const secret = join(mkdtempSync(join(tmpdir(), 'earshot-secret-')), 'secret.wav');
    writeFileSync(secret, readFixture('dog_8k_u8.wav'));
    let numConnections = 0;
    const listener = createServer((socket) => {
      numConnections += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    const { port } = listener.address() as { port: number };
    const url = `http://127.0.0.1:${port}/a.wav`;
    const adts = readFixture('dog_44k.aac').subarray(0, 800);
    const lists = [secret, url].flatMap((target) => [
      `#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n${target}\n#EXT-X-ENDLIST\n`,
      `ffconcat version 1.0\nfile '${target}'\n`,
    ]);
    const files = lists.flatMap((text) => [
      Buffer.from(text),
      Buffer.concat([Buffer.from('\0\0\0\x18ftypM4A \0\0\0\0'), Buffer.from(text)]),
      Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\0\0'), Buffer.from(text), adts]),
      Buffer.concat([adts, Buffer.from(text)]),
    ]);
    for (const bytes of files) {
      const outcome = await decodeIn(decoder, folder.write(bytes)).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toHaveProperty('code');
      // The secret lasts 5 s; what comes of the 800 bytes before a list is far shorter.
      else expect((outcome as WholeClip).format.durationSeconds).toBeLessThan(2);
    }
    expect(numConnections).toBe(0);
    listener.close();
    rmSync(join(secret, '..'), { recursive: true });
  });
});

describe('without ffmpeg', () => {
  it('says what would be needed', async () => {
    const decoder = await open({ ffmpegPath: undefined });
    expect(decoder.ffmpegVersion).toBeNull();
    await expect(decodeIn(decoder, containerPath('bark_16k.aiff'))).rejects.toMatchObject({
      code: 'unsupported_format',
      extensions: { container: 'aiff', needs: 'ffmpeg' },
    });
    await decoder.close();
  });

  it('cannot be started with one that does not run', async () => {
    await expect(open({ ffmpegPath: '/bin/false' })).rejects.toThrow(
      /^FFMPEG_PATH: expected ffmpeg or "off", got \/bin\/false: /,
    );
  });
});
