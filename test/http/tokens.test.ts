/** POST /v1/tokens: what the tokenizer graph gives in Python is what HTTP answers, in every form. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ModelRegistry } from '../../src/inference/model-registry.js';
import { LinkedModels } from '../inference/linked-models.js';
import { TINY_FOLDER, TINY_TOKEN_FOLDER, TOKEN_MODELS_DIR } from '../inference/tiny-model.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  toneClip,
  type Workshop,
} from './test-service.js';

interface Golden {
  readonly clip: string;
  readonly tokens: number[][];
  readonly copies: number;
  readonly tokens_of_copies: number[][];
}

/** By ONNX Runtime in Python; `python -m tests.make_tiny_token_model` in training writes them. */
const golden: Golden = JSON.parse(
  readFileSync(join(TOKEN_MODELS_DIR, 'golden-tokens.json'), 'utf8'),
);
const models = new LinkedModels(TINY_FOLDER, TINY_TOKEN_FOLDER);

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop({ ...models, model: 'tiny-tokens' });
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
  models[Symbol.dispose]();
});
afterEach(() => expect(service.spooled()).toEqual([]));

const tokens = (query = '', own = service) => own.call('post', `/v1/tokens${query}`);
const tokensOf = async (bytes: Buffer, query = '') =>
  (await tokens(query).attach('file', bytes, 'x')).body;

/** The samples of the golden clip, two bytes each. */
function goldenSamples(): Buffer {
  const wav = clip(golden.clip);
  const start = wav.indexOf('data') + 8;
  return wav.subarray(start, start + wav.readUInt32LE(start - 4));
}

function wavOf(samples: Buffer, { channels }: { channels: number }): Buffer {
  const head = Buffer.from(clip(golden.clip).subarray(0, 36));
  head.writeUInt32LE(36 + samples.length, 4);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(channels * 32_000, 28);
  head.writeUInt16LE(channels * 2, 32);
  const data = Buffer.from('data....');
  data.writeUInt32LE(samples.length, 4);
  return Buffer.concat([head, data, samples]);
}

/** The golden clip so many times in a row. */
const copies = (count: number): Buffer =>
  wavOf(Buffer.concat(Array<Buffer>(count).fill(goldenSamples())), { channels: 1 });

/** The golden clip left, silence right. */
function leftOnly(): Buffer {
  const mono = goldenSamples();
  const stereo = Buffer.alloc(2 * mono.length);
  for (let at = 0; at < mono.length; at += 2) mono.copy(stereo, 2 * at, at, at + 2);
  return wavOf(stereo, { channels: 2 });
}

describe('the answer', () => {
  test('is what ONNX Runtime gives in Python', async () => {
    const body = await tokensOf(clip(golden.clip));
    expect(body).toMatchObject({
      object: 'audio.tokens',
      model: 'tiny-tokens',
      codebook_size: 64,
      bands: 8,
      rows_per_second: 6.25,
      start_seconds: 0,
      shape: [31, 8],
      audio: { codec: 'pcm_s16le', sample_rate: 16_000 },
      usage: { audio_seconds: 5.001, windows: 1 },
    });
    expect(body.tokens).toEqual(golden.tokens);
  });

  test('of a long clip is one grid without a gap, each window in its own context', async () => {
    const body = await tokensOf(copies(golden.copies));
    expect(body.usage).toEqual({ audio_seconds: 25.005, windows: 3 });
    expect(body.shape).toEqual([156, 8]);
    expect(body.tokens).toEqual(golden.tokens_of_copies);
  });

  test('as base64 is the same codes, two bytes each', async () => {
    const body = await tokensOf(clip(golden.clip), '?encoding=base64');
    const bytes = Buffer.from(body.tokens, 'base64');
    expect(body.shape).toEqual([31, 8]);
    expect(bytes).toHaveLength(2 * 31 * 8);
    const codes = Array.from({ length: 31 * 8 }, (_, i) => bytes.readInt16LE(2 * i));
    expect(codes).toEqual(golden.tokens.flat());
  });

  test('is the same for the same bytes, alone, at once and among tags', async () => {
    const bytes = clip('rooster.ogg');
    const alone = await tokensOf(bytes);
    const [tags, ...again] = await Promise.all([
      service.call('post', '/v1/tags').attach('file', bytes, 'x'),
      tokensOf(bytes),
      tokensOf(bytes),
    ]);
    expect(tags.status).toBe(200);
    for (const body of again) expect({ ...body, id: '' }).toEqual({ ...alone, id: '' });
  });

  test('of a part of a clip starts where the part starts', async () => {
    const seconds = goldenSamples().length / 32_000;
    const part = await tokensOf(copies(2), `?start_seconds=${seconds}`);
    expect(part).toMatchObject({ start_seconds: seconds, usage: { audio_seconds: 5.001 } });
    expect(part.tokens).toEqual(golden.tokens);
  });

  test('has each channel by itself where that is wanted', async () => {
    const each = await tokensOf(leftOnly(), '?channel=each');
    expect(each.tokens).toBeUndefined();
    expect(each.channels.map(({ channel }: { channel: number }) => channel)).toEqual([0, 1]);
    expect(each.channels[0]).toEqual({ channel: 0, shape: [31, 8], tokens: golden.tokens });
    expect(each.channels[1].tokens).not.toEqual(golden.tokens);
    const left = await tokensOf(leftOnly(), '?channel=left');
    expect(left.tokens).toEqual(golden.tokens);
  });

  test('for several files is a list, in which a bad one keeps its place', async () => {
    const { status, body } = await tokens()
      .attach('file', clip(golden.clip), 'a')
      .attach('file', Buffer.from('not audio at all'), 'b');
    expect(status).toBe(200);
    expect(body).toMatchObject({ object: 'list', codebook_size: 64, rows_per_second: 6.25 });
    expect(body.data[0]).toMatchObject({ index: 0, status: 200, tokens: golden.tokens });
    expect(body.data[1]).toMatchObject({ index: 1, status: 415 });
    expect(body.usage.windows).toBe(1);
  });
});

describe('a model without a tokenizer is refused', () => {
  test('by name, with those that have one', async () => {
    const { status, body } = await tokens('?model=tiny').attach('file', toneClip(1), 'x');
    expect([status, body.code, body.errors[0].parameter]).toEqual([422, 'invalid_value', 'model']);
    expect(body.detail).toBe(
      'model: Expected a model with a tokenizer, tiny has none; there are tiny-tokens',
    );
  });

  test('where no other has one either', async () => {
    const tiny = workshop.registry.get('tiny');
    const registry: ModelRegistry = { ...workshop.registry, get: () => tiny, list: () => [tiny] };
    const own = await startService(workshop, { registry });
    const { status, body } = await tokens('', own).attach('file', toneClip(1), 'x');
    await own.close();
    expect([status, body.code]).toEqual([422, 'invalid_value']);
    expect(body.detail).toContain('tiny has none; and no other model here has one');
  });

  test('by the model itself, should a caller forget', async () => {
    const window = { samples: new Float32Array(16_000) };
    const run = workshop.registry.get('tiny').run([window], { outputs: ['tokens'] });
    await expect(run).rejects.toThrow('Expected outputs of the encoder, tiny has no tokenizer');
  });
});

test('an unknown encoding is refused', async () => {
  const { status, body } = await tokens('?encoding=npy').attach('file', toneClip(1), 'x');
  expect([status, body.code, body.errors[0].parameter]).toEqual([422, 'invalid_value', 'encoding']);
});
