/** What POST /v1/embeddings answers to its parameters, and to JSON. */
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { longClip } from '../analyze/long-clip.js';
import { parseNpy } from '../outputs/npy-reader.js';
import {
  clip,
  openFullDisk,
  openWorkshop,
  startService,
  type TestService,
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

const DOG = clip('dog.ogg');
const LONG = longClip();
const DIM = 32;
const DTYPES = ['float32', 'float16', 'int8', 'ubinary'];

interface WireEntry {
  index: number;
  channel?: number;
  start_seconds: number;
  end_seconds: number;
  embedding: number[] & string;
}

const post = (query: string, bytes: Buffer = DOG) =>
  service.call('post', `/v1/embeddings?${query}`).attach('file', bytes, 'x');

const answers = new Map<string, Promise<WireEntry[]>>();

/** The entries for these parameters, asked for once. */
function embed(query = '', bytes: Buffer = DOG): Promise<WireEntry[]> {
  const key = `${query} ${bytes.length}`;
  const asked = answers.get(key) ?? embedAnew(query, bytes);
  answers.set(key, asked);
  return asked;
}

async function embedAnew(query: string, bytes: Buffer): Promise<WireEntry[]> {
  const { status, body } = await post(query, bytes);
  expect(status, body.detail).toBe(200);
  return body.data;
}

/** The reply as bytes, whatever its type. */
async function fetchNpy(query: string, bytes: Buffer = DOG): Promise<Buffer> {
  const form = new FormData();
  form.append('file', new Blob([new Uint8Array(bytes)]));
  const reply = await fetch(`${service.url}/v1/embeddings?encoding_format=npy&${query}`, {
    method: 'POST',
    body: form,
  });
  expect(reply.status).toBe(200);
  expect(reply.headers.get('content-type')).toBe('application/octet-stream');
  return Buffer.from(await reply.arrayBuffer());
}

const meanOf = (vectors: number[][]) =>
  vectors[0]!.map((_, i) => vectors.reduce((sum, vector) => sum + vector[i]!, 0) / vectors.length);

describe('granularity', () => {
  test('the vector of a recording is the mean of its rows', async () => {
    const rows = await embed('granularity=row&normalize=false', LONG);
    const windows = await embed('granularity=window&normalize=false', LONG);
    const [only] = await embed('normalize=false', LONG);
    expect([rows.length, windows.length]).toEqual([133, 3]);
    const mean = meanOf(rows.map(({ embedding }) => embedding));
    only!.embedding.forEach((value, i) => {
      expect(value).toBeCloseTo(mean[i]!, 4);
    });
    const second = meanOf(rows.slice(62, 124).map(({ embedding }) => embedding));
    windows[1]!.embedding.forEach((value, i) => {
      expect(value).toBeCloseTo(second[i]!, 4);
    });
    expect(rows.map((row) => row.start_seconds)).toEqual(
      rows.map((_, i) => Math.round(160 * i) / 1000),
    );
    expect([only!.start_seconds, only!.end_seconds]).toEqual([0, 21.3]);
  });

  test('times are those of the whole recording where a part of it is heard', async () => {
    const [first] = await embed('granularity=row&start_seconds=12.5', LONG);
    expect([first!.start_seconds, first!.end_seconds]).toEqual([12.5, 12.66]);
    const [part] = await embed('start_seconds=12.5&end_seconds=14', LONG);
    expect([part!.start_seconds, part!.end_seconds]).toEqual([12.5, 14]);
  });

  test('channel=each: channel by channel, each as it would be alone', async () => {
    const each = await embed('granularity=window&channel=each', LONG);
    const left = await embed('granularity=window&channel=left', LONG);
    const right = await embed('granularity=window&channel=right', LONG);
    expect(each.map(({ channel }) => channel)).toEqual([0, 0, 0, 1, 1, 1]);
    expect(each.map(({ channel: _, ...entry }) => entry)).toEqual([...left, ...right]);
  });
});

test('pooling=max takes the largest value of the rows', async () => {
  const rows = await embed('granularity=row&normalize=false');
  const [only] = await embed('pooling=max&normalize=false');
  only!.embedding.forEach((value, i) => {
    expect(value).toBe(Math.max(...rows.map(({ embedding }) => embedding[i]!)));
  });
});

describe.each(DTYPES)('%s', (dtype) => {
  test('is the same in JSON, in base64 and in a NumPy file', async () => {
    const query = `granularity=window&dtype=${dtype}`;
    const inJson = await embed(query, LONG);
    const inBase64 = await embed(`${query}&encoding_format=base64`, LONG);
    const file = parseNpy(await fetchNpy(query, LONG));
    const width = dtype === 'ubinary' ? DIM / 8 : DIM;
    expect(file.shape).toEqual([3, width]);
    expect(
      Buffer.concat(inBase64.map(({ embedding }) => Buffer.from(embedding, 'base64'))),
    ).toEqual(file.body);
    const digits = dtype === 'float16' ? 5 : 9;
    const values = file.values.map((value) => Number(value.toPrecision(digits)));
    expect(values).toEqual(inJson.flatMap(({ embedding }) => embedding));
  });

  test('stands for the float vector', async () => {
    const [full] = await embed();
    const [kept] = await embed(`dtype=${dtype}`);
    if (dtype === 'ubinary') {
      const bits = kept!.embedding.flatMap((byte) => [...byte.toString(2).padStart(8, '0')]);
      expect(bits).toEqual(full!.embedding.map((value) => (value > 0 ? '1' : '0')));
      return;
    }
    const scale = dtype === 'int8' ? 127 : 1;
    kept!.embedding.forEach((value, i) => {
      expect(value / scale).toBeCloseTo(full!.embedding[i]!, dtype === 'int8' ? 2 : 3);
    });
  });
});

test("base64 is read as OpenAI's client reads it", async () => {
  const [inJson] = await embed();
  const [inBase64] = await embed('encoding_format=base64');
  const bytes = Buffer.from(inBase64!.embedding, 'base64');
  const read = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  expect(Array.from(read, (value) => Number(value.toPrecision(9)))).toEqual(inJson!.embedding);
});

test('the same recording gives the same bytes: again, beside others, in any company of requests', async () => {
  const query = 'granularity=row&encoding_format=base64';
  const once = await embed(query);
  const [again, beside] = await Promise.all([
    embedAnew(query, DOG),
    post(query, clip('rain.ogg')).attach('file', clip('dog.ogg'), 'y'),
    embedAnew(query, clip('rooster.ogg')),
  ]);
  expect(again).toEqual(once);
  const second = beside.body.data.filter(({ index }: WireEntry) => index === 1);
  expect(second.map(({ embedding }: WireEntry) => embedding)).toEqual(
    once.map(({ embedding }) => embedding),
  );
});

describe('refused', () => {
  test.each([
    ['dimensions=16', 422, 'invalid_value', 'dimensions'],
    ['granularity=frame', 422, 'invalid_value', 'granularity'],
    ['dtype=float64', 422, 'invalid_value', 'dtype'],
    ['encoding_format=csv', 422, 'invalid_value', 'encoding_format'],
    ['pooling=median', 422, 'invalid_value', 'pooling'],
    ['start_seconds=2&end_seconds=1', 422, 'invalid_value', 'end_seconds'],
    ['dtype=int8&normalize=false', 400, 'conflicting_parameters', undefined],
  ])('%s', async (query, status, code, parameter) => {
    const reply = await post(query);
    expect([reply.status, reply.body.code]).toEqual([status, code]);
    expect(reply.body.errors?.[0].parameter).toBe(parameter);
  });

  test('a NumPy file of several recordings', async () => {
    const { status, body } = await post('encoding_format=npy').attach(
      'file',
      clip('rain.ogg'),
      'y',
    );
    expect([status, body.code]).toEqual([422, 'invalid_value']);
    expect(body.errors).toEqual([
      { parameter: 'encoding_format', detail: 'Expected one file for npy, got 2' },
    ]);
  });

  test('a NumPy file of what is not audio is a problem as any other', async () => {
    const { status, body } = await post('encoding_format=npy', Buffer.from('no audio'));
    expect([status, body.code]).toEqual([415, 'unsupported_format']);
  });
});

test('more numbers than a reply may hold are refused, also where each recording alone would fit', async () => {
  const wide = { rows: 1, values: { clip_embedding: new Float32Array(2 ** 23) } };
  const model = workshop.registry.get();
  const open = () => ({
    run: async () => wide,
    setMaking() {},
    timings: () => ({ queueMs: 0, inferenceMs: 0 }),
    close() {},
  });
  const registry = { ...workshop.registry, get: () => ({ ...model, open }) };
  const own = await startService(workshop, { registry });
  const query = '?granularity=window&normalize=false';
  const request = own.call('post', `/v1/embeddings${query}`);
  for (const name of ['a', 'b', 'c']) request.attach('file', DOG, name);
  const { status, body } = await request;
  await own.close();
  expect([status, body.code]).toEqual([422, 'invalid_value']);
  expect(body.limits).toEqual({ max_embedding_values: 2 ** 24 });
});

test('dimensions that the model has are taken', async () => {
  expect(await embed(`dimensions=${DIM}`)).toEqual(await embed());
});

describe('JSON', () => {
  const uri = (name: string) => `data:audio/ogg;base64,${clip(name).toString('base64')}`;
  const send = (body: unknown, query = '') =>
    service
      .call('post', `/v1/embeddings${query}`)
      .type('application/json')
      .send(typeof body === 'string' ? body : JSON.stringify(body));

  test('one recording: the same as in a form', async () => {
    const { status, body } = await send({ input: uri('dog.ogg') });
    expect(status, body.detail).toBe(200);
    expect(body.data).toEqual(await embed());
  });

  test('several, with parameters beside them: the same as in a form', async () => {
    const { body } = await send({
      encoding_format: 'base64',
      input: [uri('dog.ogg'), uri('rain.ogg')],
      model: 'tiny',
      normalize: false,
      granularity: 'window',
      dimensions: null,
    });
    const inForm = await post('encoding_format=base64&normalize=false&granularity=window').attach(
      'file',
      clip('rain.ogg'),
      'y',
    );
    expect(body.data).toEqual(inForm.body.data);
    expect(body.data).toHaveLength(2);
  });

  test('a recording that is not audio keeps its place', async () => {
    const bad = `data:text/plain;base64,${Buffer.from('no audio').toString('base64')}`;
    const { body } = await send({ input: [bad, uri('dog.ogg')] });
    expect(body.data.map(({ status }: { status: number }) => status)).toEqual([415, 200]);
  });

  test.each([
    ['text that is no data URI', { input: 'a dog barks' }, 422, 'invalid_value'],
    ['plain base64', { input: 'UklGRg==' }, 422, 'invalid_value'],
    ['text in a data URI', { input: 'data:text/plain,dog' }, 422, 'invalid_value'],
    ['what is not base64', { input: 'data:audio/wav;base64,!!!!' }, 422, 'invalid_value'],
    ['a number for a recording', { input: 7 }, 422, 'invalid_value'],
    ['token lists', { input: [[1, 2]] }, 422, 'invalid_value'],
    ['fewer dimensions', { input: 'data:,;base64', dimensions: 8 }, 422, 'invalid_value'],
    ['a list for a parameter', { model: ['tiny'], input: [] }, 422, 'invalid_value'],
    ['no input', { model: 'tiny' }, 400, 'missing_file'],
    ['an empty list', { input: [] }, 400, 'missing_file'],
    ['an unknown member', { input: [], user: 'me' }, 400, 'missing_file'],
    ['a list', [1, 2], 400, 'malformed_json'],
    ['half an object', '{"input": "data:audio/wav;base64,AAAA', 400, 'malformed_json'],
    ['what is no JSON', '{"input": oops}', 400, 'malformed_json'],
    ['depth', `{"input": ${'['.repeat(50_000)}`, 422, 'invalid_value'],
    ['input twice', '{"input": [], "input": []}', 400, 'conflicting_parameters'],
    ['a long name', `{"${'x'.repeat(5000)}": 1}`, 400, 'malformed_json'],
    [
      'many members',
      `{${Array.from({ length: 30 }, (_, i) => `"x${i}": 1`)}}`,
      400,
      'malformed_json',
    ],
    ['nothing', ' ', 400, 'malformed_json'],
  ])('%s is refused', async (_name, body, status, code) => {
    const reply = await send(body);
    expect([reply.status, reply.body.code]).toEqual([status, code]);
  });

  test('an unknown member, and one that the query has too, are refused by name', async () => {
    const unknown = await send({ input: uri('dog.ogg'), user: 'me' });
    expect([unknown.status, unknown.body.code]).toEqual([400, 'unknown_parameter']);
    const twice = await send({ input: uri('dog.ogg'), model: 'tiny' }, '?model=tiny');
    expect([twice.status, twice.body.code]).toEqual([400, 'conflicting_parameters']);
  });

  test('is held to the limits of uploads: bytes and files', async () => {
    const own = await startService(workshop, {
      env: { MAX_UPLOAD_BYTES: '30000', MAX_FILES: '2' },
    });
    const to = (body: object) =>
      own.call('post', '/v1/embeddings').type('application/json').send(JSON.stringify(body));
    const of = (bytes: number) => `data:;base64,${Buffer.alloc(bytes, 1).toString('base64')}`;
    const fits = await to({ input: [of(15_000), of(15_000)] });
    expect(fits.status).toBe(200);
    const large = await to({ input: [of(15_000), of(15_001)] });
    expect([large.status, large.body.code]).toEqual([413, 'file_too_large']);
    const many = await to({ input: [of(1), of(1), of(1)] });
    expect([many.status, many.body.code]).toEqual([413, 'too_many_files']);
    expect(own.spooled()).toEqual([]);
    await own.close();
  });

  test('a full disk is answered as such', async () => {
    const own = await startService(workshop, { openFile: openFullDisk });
    const reply = await own
      .call('post', '/v1/embeddings')
      .type('application/json')
      .send(JSON.stringify({ input: [uri('dog.ogg'), uri('rain.ogg')] }));
    await own.close();
    expect([reply.status, reply.body.code]).toEqual([507, 'storage_full']);
  });

  test('a client that leaves in the middle of a recording leaves nothing behind', async () => {
    const own = await startService(workshop);
    const headers = { 'Content-Type': 'application/json' };
    const request = httpRequest({
      port: own.port,
      method: 'POST',
      path: '/v1/embeddings',
      headers,
    });
    request.on('error', () => {});
    request.write(JSON.stringify({ input: uri('rain.ogg') }).slice(0, 20_000));
    await expect.poll(() => own.spooled().length).toBe(1);
    request.destroy();
    await expect.poll(() => own.spooled()).toEqual([]);
    await expect.poll(() => own.logLines.map(({ code }) => code)).toEqual(['client_gone']);
    await own.close();
  });

  test('is for this operation alone', async () => {
    const { status, body } = await service
      .call('post', '/v1/tags')
      .type('application/json')
      .send(JSON.stringify({ input: uri('dog.ogg') }));
    expect([status, body.code]).toEqual([415, 'unsupported_format']);
  });

  test('nothing is left in the spool', () => expect(service.spooled()).toEqual([]));
});
