import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  toneClip,
  type Workshop,
} from './test-service.js';

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop();
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
});
afterEach(() => expect(service.spooled()).toEqual([]));

const tags = (query = '') => service.call('post', `/v1/tags${query}`);
const embeddings = (query = '') => service.call('post', `/v1/embeddings${query}`);

describe('POST /v1/tags', () => {
  test('answers a form with tags, best first, and says what the clip was', async () => {
    const { status, body, headers } = await tags().attach('file', clip('dog.ogg'), 'dog.ogg');
    expect(status).toBe(200);
    expect(body).toMatchObject({ object: 'audio.tags', model: 'tiny' });
    expect(body.id).toBe(headers['x-request-id']);
    expect(body.audio).toMatchObject({ container: 'ogg', codec: 'vorbis', sample_rate: 44_100 });
    expect(body.usage.windows).toBe(1);
    expect(body.usage.audio_seconds).toBeCloseTo(body.audio.duration_seconds, 2);
    const scores = body.tags.map(({ score }: { score: number }) => score);
    expect(scores).toHaveLength(5);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
  });

  test.each(['application/octet-stream', 'text/plain', 'application/x-www-form-urlencoded'])(
    'takes the bytes alone as %s: the same answer as in a form',
    async (type) => {
      const inForm = await tags().attach('file', clip('dog.ogg'), 'dog.ogg');
      const { status, body } = await service.callRaw(
        { method: 'POST', path: '/v1/tags', headers: { 'Content-Type': type } },
        (request) => request.end(clip('dog.ogg')),
      );
      expect(status).toBe(200);
      expect({ ...JSON.parse(body), id: '' }).toEqual({ ...inForm.body, id: '' });
    },
  );

  test('takes audio as an alias of file, and a body of unknown length', async () => {
    const alias = await tags().attach('audio', clip('dog.ogg'), 'x');
    const { status, body } = await service.callRaw(
      { method: 'POST', path: '/v1/tags', headers: { 'Transfer-Encoding': 'chunked' } },
      (request) => request.end(clip('dog.ogg')),
    );
    expect(status).toBe(200);
    expect(JSON.parse(body).tags).toEqual(alias.body.tags);
  });

  test('the same bytes give the same reply, but for the id', async () => {
    const [first, second] = await Promise.all([
      tags().attach('file', clip('rain.ogg'), 'a'),
      tags().attach('file', clip('rain.ogg'), 'b'),
    ]);
    expect({ ...first.body, id: '' }).toEqual({ ...second.body, id: '' });
    expect(first.body.id).not.toBe(second.body.id);
  });

  test('top_k and threshold keep the best; query and form mean the same', async () => {
    const all = (await tags('?top_k=all').attach('file', clip('dog.ogg'), 'x')).body.tags;
    expect(all.length).toBeGreaterThan(5);
    const two = await tags().field('top_k', '2').attach('file', clip('dog.ogg'), 'x');
    expect(two.body.tags).toEqual(all.slice(0, 2));
    const threshold = all[3].score - 1e-6;
    const above = await tags(`?threshold=${threshold}&top_k=all`).attach(
      'file',
      clip('dog.ogg'),
      'x',
    );
    expect(above.body.tags).toEqual(
      all.filter(({ score }: { score: number }) => score >= threshold),
    );
  });

  test('labels that were not trained never appear', async () => {
    const { body } = await tags('?top_k=all').attach('file', clip('dog.ogg'), 'x');
    const { card } = workshop.registry.get();
    const trained = card.labels.filter((label) => label.trained).map(({ mid }) => mid);
    expect(trained.length).toBeLessThan(card.labels.length);
    const mids = body.tags.map(({ mid }: { mid: string }) => mid);
    expect(mids.toSorted()).toEqual(trained.toSorted());
  });

  test.each(['', '?top_k=all'])('a model without labels is refused by name %s', async (query) => {
    const model = workshop.registry.get();
    const unlabelled = { ...model, card: { ...model.card, labels: [] } };
    const registry = { ...workshop.registry, get: () => unlabelled };
    const fresh = await startService(workshop, { registry });
    const request = fresh.call('post', `/v1/tags${query}`);
    const { status, body } = await request.attach('file', clip('dog.ogg'), 'x');
    await fresh.close();
    expect([status, body.code, body.errors[0].parameter]).toEqual([422, 'invalid_value', 'model']);
    expect(body.detail).toContain('tiny gives embeddings only');
  });

  test('requests with different parameters at the same time do not mix', async () => {
    const counts = [1, 7, 2, 6, 3, 5, 4];
    const replies = await Promise.all(
      counts.map((count) => tags(`?top_k=${count}`).attach('file', clip('tabla.flac'), 'x')),
    );
    expect(replies.map(({ body }) => body.tags.length)).toEqual(counts);
  });

  test('hears all of a clip that is longer than a window', async () => {
    const { body } = await tags().attach('file', toneClip(61), 'x');
    expect(body.usage).toEqual({ audio_seconds: 61, windows: 7 });
  });

  test('several files answer in their order, each with its own status', async () => {
    const alone = await Promise.all([
      tags().attach('file', clip('dog.ogg'), 'x'),
      tags().attach('file', clip('rooster.ogg'), 'x'),
    ]);
    const { status, body } = await tags()
      .attach('file', clip('dog.ogg'), 'a')
      .attach('file', Buffer.from('not audio at all'), 'b')
      .attach('file', Buffer.alloc(0), 'c')
      .attach('audio', clip('rooster.ogg'), 'd')
      .attach('file', toneClip(0.1), 'e');
    expect(status).toBe(200);
    expect(body.object).toBe('list');
    expect(body.data.map((entry: { index: number }) => entry.index)).toEqual([0, 1, 2, 3, 4]);
    const outcomes = body.data.map((entry: { problem?: { code: string } }) => entry.problem?.code);
    expect(outcomes).toEqual([
      undefined,
      'unsupported_format',
      'empty_audio',
      undefined,
      'clip_too_short',
    ]);
    const statuses = body.data.map((entry: { status: number }) => entry.status);
    expect(statuses).toEqual([200, 415, 422, 200, 422]);
    expect(body.data[0].tags).toEqual(alone[0].body.tags);
    expect(body.data[3].tags).toEqual(alone[1].body.tags);
    expect(body.usage.windows).toBe(2);
  });

  test('as many files as are allowed cannot fill the queue by themselves', async () => {
    const narrow = await startService(workshop, { env: { MAX_FILES: '20' } });
    const request = narrow.call('post', '/v1/tags?top_k=1');
    for (let i = 0; i < 20; i++) request.attach('file', toneClip(0.5, { hz: 100 + i }), 'x');
    const { body } = await request;
    expect(body.data.map((entry: { status: number }) => entry.status)).toEqual(Array(20).fill(200));
    await narrow.close();
  });
});

test('more requests than there is room for: an answer or a 429 that says when, nothing else', async () => {
  const alone = await tags().attach('file', clip('rain.ogg'), 'x');
  const replies = await Promise.all(
    Array.from({ length: 40 }, () => tags().attach('file', clip('rain.ogg'), 'x')),
  );
  const statuses = replies.map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 429]));
  for (const { status, body, headers } of replies) {
    if (status === 200) expect(body.tags).toEqual(alone.body.tags);
    else expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
  }
});

describe('POST /v1/embeddings', () => {
  test('answers in list form, with a unit vector unless told otherwise', async () => {
    const { status, body } = await embeddings().attach('file', clip('dog.ogg'), 'x');
    expect(status).toBe(200);
    const [entry] = body.data;
    expect(entry.embedding).toHaveLength(workshop.registry.get().card.embeddingDim);
    expect(Math.hypot(...entry.embedding)).toBeCloseTo(1, 5);
    const raw = await embeddings('?normalize=false').attach('file', clip('dog.ogg'), 'x');
    const length = Math.hypot(...raw.body.data[0].embedding);
    expect(length).not.toBeCloseTo(1, 2);
    raw.body.data[0].embedding.forEach((value: number, i: number) => {
      expect(value / length).toBeCloseTo(entry.embedding[i], 5);
    });
  });

  test('the numbers are float32, given back exactly', async () => {
    const { body } = await embeddings().send(clip('dog.ogg')).type('audio/ogg');
    const { embedding } = body.data[0];
    const asFloat32 = Array.from(Float32Array.from(embedding), (v) => Number(v.toPrecision(9)));
    expect(asFloat32).toEqual(embedding);
  });

  test('a bad file keeps its place', async () => {
    const { status, body } = await embeddings()
      .attach('file', clip('dog.ogg'), 'a')
      .attach('file', clip('dog_44k_aac.m4a'), 'b');
    expect(status).toBe(200);
    expect(body.data[0]).toMatchObject({ index: 0, status: 200, object: 'embedding' });
    expect(body.data[1]).toMatchObject({ index: 1, status: 415 });
    expect(body.data[1].problem).toMatchObject({ code: 'unsupported_format', needs: 'ffmpeg' });
  });
});

describe('what is said beside the answer', () => {
  test('a request id is taken over when it is harmless', async () => {
    const taken = await tags().set('X-Request-Id', 'run-7:a').attach('file', clip('dog.ogg'), 'x');
    expect(taken.body.id).toBe('run-7:a');
    const minted = await tags().set('X-Request-Id', 'a"b').attach('file', clip('dog.ogg'), 'x');
    expect(minted.body.id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('Server-Timing names the stages, X-Model and X-Execution-Provider who answered', async () => {
    const { headers } = await tags().attach('file', clip('dog.ogg'), 'x');
    const stages = String(headers['server-timing'])
      .split(', ')
      .map((part) => part.split(';')[0]);
    expect(stages).toEqual(['receive', 'decode', 'resample', 'queue', 'inference', 'postprocess']);
    expect(headers).toMatchObject({ 'x-model': 'tiny', 'x-execution-provider': 'cpu' });
  });

  test('one log line for each request, without the name of the file', async () => {
    const fresh = await startService(workshop);
    await fresh.call('post', '/v1/tags?top_k=1').attach('file', clip('dog.ogg'), 'canary-name.ogg');
    await fresh
      .call('post', '/v1/tags?threshold=2')
      .attach('file', clip('dog.ogg'), 'canary-name.ogg');
    await fresh.close();
    expect(fresh.logLines).toHaveLength(2);
    expect(fresh.logLines[0]).toMatchObject({
      route: '/v1/tags',
      method: 'POST',
      status: 200,
      code: 'ok',
      clips: 1,
      windows: 1,
    });
    expect(fresh.logLines[1]).toMatchObject({
      route: '/v1/tags',
      status: 422,
      code: 'invalid_value',
    });
    expect(JSON.stringify(fresh.logLines)).not.toContain('canary');
  });
});
