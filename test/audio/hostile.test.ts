/** Bytes that mean harm, or were harmed, on their way through ffmpeg: refused by name or decoded, and nothing is left. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Decoder } from '../../src/audio/decode.js';
import { openDecoder } from '../../src/audio/open-decoder.js';
import { ClipFolder, fixturePath, isSameSignal, readFixture } from './clips.js';
import { describeWithFfmpeg, ffmpegPath, prlimitPath } from './system-ffmpeg.js';
import { decodeIn } from './whole-clip.js';

const CONTAINERS = fileURLToPath(new URL('../fixtures/containers', import.meta.url));
const REFUSALS = [
  'unsupported_format',
  'undecodable_audio',
  'empty_audio',
  'clip_too_short',
  'clip_too_long',
  'decode_budget_exceeded',
];
const TIMEOUT_MS = 240_000;

const folder = new ClipFolder();
afterAll(() => folder.remove());

/** Numbers in [0, 1) that are the same each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** Harm of a kind that files meet: wrong bytes, a wrong head, a cut, a part doubled or overwritten. */
function harmed(bytes: Buffer, random: () => number): Buffer {
  const at = (end: number) => Math.floor(random() * end);
  const copy = Buffer.from(bytes);
  const kind = at(5);
  if (kind === 0) for (let count = 0; count < 20; count++) copy[at(copy.length)] = at(256);
  if (kind === 1) for (let count = 0; count < 8; count++) copy[at(256)] = at(256);
  if (kind === 2) return copy.subarray(0, at(copy.length));
  if (kind === 3)
    return Buffer.concat([copy.subarray(0, at(copy.length)), copy.subarray(at(copy.length))]);
  if (kind === 4) copy.fill(at(256), at(copy.length >> 1), copy.length - at(copy.length >> 1));
  return copy;
}

function* hostileFiles(): Generator<[string, Buffer]> {
  const sources = [
    ...readdirSync(CONTAINERS)
      .filter((name) => !name.endsWith('.csv'))
      .map((name): [string, Buffer] => [name, readFileSync(`${CONTAINERS}/${name}`)]),
    ...['dog_44k_aac.m4a', 'dog_44k.aac', 'dog_opus.webm'].map((name): [string, Buffer] => [
      name,
      readFixture(name),
    ]),
  ];
  for (const [index, [name, bytes]] of sources.entries()) {
    const random = seeded(index + 1);
    for (let count = 0; count < 4; count++) yield [name, harmed(bytes, random)];
    // The head of one, the body of another.
    const [, other] = sources[(index + 5) % sources.length]!;
    yield [name, Buffer.concat([bytes.subarray(0, 512), other.subarray(512)])];
  }
}

/** Sizes in an MP4 that its bytes cannot hold: one million samples, each of two gigabytes, each for ever. */
function lyingMp4(): Buffer {
  const bytes = readFixture('dog_44k_aac.m4a');
  for (const box of ['stsz', 'stts', 'stsc', 'stco']) {
    const start = bytes.indexOf(box);
    if (start > 0) bytes.writeUInt32BE(0x7fff_ffff, start + 12);
    if (start > 0 && box !== 'stco') bytes.writeUInt32BE(0x000f_ffff, start + 16);
  }
  return bytes;
}

const ffmpegChildren = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/stat`))
    .flatMap((name) => {
      try {
        return [readFileSync(`/proc/${name}/stat`, 'utf8')];
      } catch {
        return [];
      }
    })
    .filter((stat) => /\((ffmpeg|prlimit)\)/.test(stat))
    .filter((stat) => stat.replace(/.*\) \S /, '').startsWith(`${process.pid} `));

describeWithFfmpeg('hostile bytes', () => {
  let decoder: Decoder;
  beforeAll(async () => {
    const limits = { maxClipSeconds: 60, timeoutMs: 30_000 };
    decoder = await openDecoder({ threads: 2, ...limits, ffmpegPath, prlimitPath });
  });
  afterAll(() => decoder.close());

  it(
    'are decoded or refused by name; the next clip is heard as ever, and no child is left',
    async () => {
      const golden = fixturePath('dog_44k_aac.m4a');
      const before = await decodeIn(decoder, golden);
      const codes = new Map<string, number>();
      const files = [...hostileFiles(), ['lying.m4a', lyingMp4()] as const];
      const tryNext = async () => {
        for (let next = files.pop(); next; next = files.pop()) {
          const [name, bytes] = next;
          const outcome = await decodeIn(decoder, folder.write(bytes), { short: 'pad' }).catch(
            (error: unknown) => error,
          );
          const code = outcome instanceof Error ? (outcome as { code?: string }).code : 'ok';
          if (code !== 'ok') expect(REFUSALS, `${name}: ${outcome}`).toContain(code);
          codes.set(code ?? '', (codes.get(code ?? '') ?? 0) + 1);
        }
      };
      await Promise.all([tryNext(), tryNext(), tryNext()]);
      // Both outcomes are met: neither is the harm too small nor is everything refused.
      expect(codes.get('ok')).toBeGreaterThan(10);
      expect(codes.get('undecodable_audio')).toBeGreaterThan(5);
      const after = await decodeIn(decoder, golden);
      expect(isSameSignal(after.samples, before.samples)).toBe(true);
      await expect.poll(ffmpegChildren).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
