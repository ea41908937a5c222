/** What of a recording is heard, and which recordings: through HTTP, with the model that is shipped. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWithFfmpeg, ffmpegPath } from '../audio/system-ffmpeg.js';
import { writeWav } from '../audio/wav-writer.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  toneClip,
  type Workshop,
} from './test-service.js';

const folderOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const MODELS_DIR = folderOf('../../models');
const CLIPS = folderOf('../fixtures/clips');
/** More formats of the same bark, where they are at hand. */
const MORE_CLIPS = folderOf('../../../shared/data/demo/formats');

/** A service around its own decoder, for the tests of one block. */
function withService(options: Parameters<typeof openWorkshop>[0]): () => TestService {
  let workshop: Workshop;
  let service: TestService;
  beforeAll(async () => {
    workshop = await openWorkshop(options);
    service = await startService(workshop);
  });
  afterAll(async () => {
    await service.close();
    await workshop.close();
  });
  return () => service;
}

const tags = (service: TestService, bytes: Buffer, query = '') =>
  service.call('post', `/v1/tags${query}`).attach('file', bytes, 'x');

describe('without ffmpeg', () => {
  const service = withService({});

  test('what is heard of a clip is what was asked for', async () => {
    const bytes = toneClip(21);
    const { body } = await tags(service(), bytes, '?start_seconds=5&end_seconds=20');
    expect(body.usage).toEqual({ audio_seconds: 15, windows: 2 });
    expect(body.audio).toMatchObject({ duration_seconds: 20, silent: false });
  });

  test('a range that begins behind the end is refused', async () => {
    const { status, body } = await tags(service(), toneClip(2), '?start_seconds=2');
    expect([status, body.code]).toEqual([422, 'range_outside_clip']);
    expect(body).toMatchObject({ duration_seconds: 2, errors: [{ parameter: 'start_seconds' }] });
  });

  test('a range that ends before it begins is refused', async () => {
    const { status, body } = await tags(service(), toneClip(2), '?start_seconds=1&end_seconds=1');
    expect([status, body.code, body.errors[0].parameter]).toEqual([
      422,
      'invalid_value',
      'end_seconds',
    ]);
  });

  test('less than a row is refused, or filled up', async () => {
    const short = toneClip(0.1);
    const refused = await tags(service(), short);
    expect([refused.status, refused.body.code]).toEqual([422, 'clip_too_short']);
    const padded = await tags(service(), short, '?short=pad');
    expect(padded.status).toBe(200);
    expect(padded.body.usage).toEqual({ audio_seconds: 0.1, windows: 1 });
  });

  test('one channel has no right one', async () => {
    const { status, body } = await tags(service(), toneClip(1), '?channel=right');
    expect([status, body.code, body.errors[0].parameter]).toEqual([
      422,
      'invalid_value',
      'channel',
    ]);
  });

  test('silence is answered, said and counted', async () => {
    const silence = writeWav({
      kind: 's16',
      sampleRate: 8_000,
      channels: [new Float32Array(8_000)],
    });
    const { status, body } = await tags(service(), silence);
    expect(status).toBe(200);
    expect(body.audio).toMatchObject({
      peak_dbfs: null,
      rms_dbfs: null,
      silent: true,
      bandwidth_hz: null,
      warnings: ['The recording is silent: no sample reaches -60 dBFS.'],
    });
    for (const { score } of body.tags) expect(Number.isFinite(score)).toBe(true);
    expect(await service().metrics.render()).toContain('earshot_silent_clips_total 1');
  });

  test('what ffmpeg would decode is refused by its name', async () => {
    const { status, body } = await tags(service(), clip('dog_44k_aac.m4a'));
    expect(status).toBe(415);
    expect(body).toMatchObject({ code: 'unsupported_format', container: 'mp4', needs: 'ffmpeg' });
    const info = await service().call('get', '/v1/info');
    expect(info.body.decoders).toEqual({ ffmpeg: null });
    expect(info.body.formats).toEqual(body.accepted);
  });
});

describeWithFfmpeg('with ffmpeg', () => {
  const service = withService({ ffmpegPath, modelsDir: MODELS_DIR });

  test('/v1/info names it, and what can be decoded with it', async () => {
    const { body } = await service().call('get', '/v1/info');
    expect(body.decoders.ffmpeg).toMatch(/^\S+$/);
    expect(body.formats).toEqual(expect.arrayContaining(['wav', 'mp4/m4a/mov', 'webm/matroska']));
  });

  test('one bark in all formats gets the same tags', async () => {
    const folders = existsSync(MORE_CLIPS) ? [CLIPS, MORE_CLIPS] : [CLIPS];
    if (folders.length === 1)
      process.stderr.write('Only the formats of the repository are tested\n');
    const files = folders.flatMap((folder) =>
      readdirSync(folder)
        // The one in stereo is only half of the clip.
        .filter((name) => name.startsWith('dog') && !name.includes('stereo'))
        .map((name) => join(folder, name)),
    );
    const reference = (await tags(service(), clip('dog.ogg'), '?top_k=3')).body.tags;
    const decoders = new Set<string>();
    for (const path of files) {
      const { status, body } = await tags(service(), readFileSync(path), '?top_k=3');
      expect(status, path).toBe(200);
      decoders.add(body.audio.decoder);
      // Every bark is a dog's: which of the two labels comes first is a matter of rounding.
      const first = body.tags.slice(0, 2).map(({ label }: { label: string }) => label);
      expect(first.toSorted(), path).toEqual(['Bark', 'Dog']);
      expect(Math.abs(body.tags[0].score - reference[0].score), path).toBeLessThan(0.25);
    }
    expect([...decoders].toSorted()).toEqual(
      ['ffmpeg', 'libflac', 'libopus', 'libvorbis', 'mpg123', 'wav'].toSorted(),
    );
    expect(await service().metrics.render()).toMatch(
      /earshot_decodes_total\{container="mp4",codec="aac",decoder="ffmpeg",outcome="ok"\} [1-9]/,
    );
  });
});
