/** Several models at once: each answers for itself, whoever else is asked meanwhile. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LinkedModels } from '../inference/linked-models.js';
import { TINY_FOLDER, TINY_TOKEN_FOLDER, TinyCopy, wireGate } from '../inference/tiny-model.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  type Workshop,
} from './test-service.js';

const SHIPPED_FOLDER = fileURLToPath(new URL('../../models/earshot-small', import.meta.url));
/** The one that was trained, and two with random weights: 527 labels, and 12 of which one sounds at a time. */
const NAMES = ['earshot-small', 'tiny', 'tiny-tokens'] as const;
const FOLDERS = [SHIPPED_FOLDER, TINY_FOLDER, TINY_TOKEN_FOLDER];
const models = new LinkedModels(...FOLDERS);

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop({ ...models, model: 'tiny' });
  service = await startService(workshop, { env: { MAX_FILES: '64' } });
});
afterAll(async () => {
  await service.close();
  await workshop.close();
  models[Symbol.dispose]();
});

const get = async (path: string) => (await service.call('get', path)).body;

const ask = async (path: string, model: string) => {
  const { body } = await service
    .call('post', `${path}?model=${model}`)
    .attach('file', clip('dog.ogg'), 'x');
  return { ...body, id: '' };
};

const sha256Of = (folder: string, file: string) =>
  createHash('sha256')
    .update(readFileSync(join(folder, file)))
    .digest('hex');

test('a graph of lower precision comes with the figures of its gate', async () => {
  await using copy = await TinyCopy.create();
  const gate = { ...wireGate(true), accuracy_change: null };
  await copy.addGraph('int8', gate);
  const own = await openWorkshop({ modelsDir: copy.modelsDir });
  const served = await startService(own);
  const { body } = await served.call('get', '/v1/models/tiny');
  const { body: info } = await served.call('get', '/v1/info');
  await served.close();
  await own.close();
  expect(body).toMatchObject({
    precision: 'int8',
    precision_choice: { requested: 'auto', reason: null },
    precision_gate: gate,
    graph: { file: 'encoder.int8.onnx' },
  });
  expect(info.models).toMatchObject([{ precision: 'int8', precision_choice: { reason: null } }]);
});

/** What runs of a model on a CPU, where every int8 graph has passed its gate. */
function precisionOf({ graphs }: { graphs: { encoder: { int8?: { gate: object } } } }): object {
  const { int8 } = graphs.encoder;
  if (int8 === undefined) {
    const choice = { requested: 'auto', reason: 'no_graph' };
    return { precision: 'fp32', precision_choice: choice, precision_gate: null };
  }
  const choice = { requested: 'auto', reason: null };
  return { precision: 'int8', precision_choice: choice, precision_gate: int8.gate };
}

describe('GET /v1/models', () => {
  test('says of each what it is, what runs of it, and how it came to be', async () => {
    const { data } = await get('/v1/models');
    expect(data.map(({ id }: { id: string }) => id)).toEqual(NAMES);
    for (const [i, model] of data.entries()) {
      const folder = FOLDERS[i] ?? '';
      const card = JSON.parse(readFileSync(join(folder, 'model.json'), 'utf8'));
      expect(model).toMatchObject({
        default: model.id === 'tiny',
        ready: true,
        ...precisionOf(card),
        precisions: Object.keys(card.graphs.encoder),
        num_labels: card.labels.length,
        num_trained_labels: card.labels.filter((label: { trained: boolean }) => label.trained)
          .length,
        activation: card.activation,
        embedding_dim: card.embedding.dim,
        license: card.license,
        tokens: card.tokens,
        max_batch_windows: 1,
      });
      expect(model.training).toEqual(card.training);
      expect(model.evaluation).toEqual(card.evaluation);
      expect(model.graph.sha256).toBe(sha256Of(folder, model.graph.file));
      expect(await get(`/v1/models/${model.id}`)).toEqual(model);
    }
    expect(data.map((model: { tokenizer_graph: object | null }) => model.tokenizer_graph)).toEqual([
      expect.objectContaining({ sha256: sha256Of(SHIPPED_FOLDER, 'tokenizer.fp32.onnx') }),
      null,
      expect.objectContaining({ sha256: sha256Of(TINY_TOKEN_FOLDER, 'tokenizer.fp32.onnx') }),
    ]);
  });

  test('each model has labels of its own', async () => {
    const totals = await Promise.all(
      NAMES.map(async (name) => (await get(`/v1/labels?model=${name}`)).total),
    );
    expect(totals).toEqual([527, 527, 12]);
  });
});

test('requests to several models at once do not mix', async () => {
  const jobs = NAMES.flatMap((model) =>
    ['/v1/tags', '/v1/embeddings', '/v1/events'].map((path) => [path, model] as const),
  );
  const alone = [];
  for (const [path, model] of jobs) alone.push(await ask(path, model));
  const together = await Promise.all([...jobs, ...jobs].map(([path, model]) => ask(path, model)));
  expect(together).toEqual([...alone, ...alone]);
  expect(new Set(alone.map((reply) => JSON.stringify(reply))).size).toBe(jobs.length);
  expect(alone.map(({ model }) => model)).toEqual(jobs.map(([, model]) => model));
  const numValues = alone.flatMap(({ data }) => (data ? [data[0].embedding.length] : []));
  expect(numValues).toEqual([448, 32, 16]);
});

test('the queue of one model is full, the others answer', async () => {
  const { registry } = workshop;
  const busy = { ...registry.get('tiny'), queuedWindows: registry.get('tiny').queueMaxWindows };
  const own = await startService(workshop, {
    registry: {
      ...registry,
      get: (name = 'tiny') => (name === 'tiny' ? busy : registry.get(name)),
    },
  });
  const statusOf = async (model: string) => {
    const request = own
      .call('post', `/v1/tags?model=${model}`)
      .attach('file', clip('dog.ogg'), 'x');
    return (await request).status;
  };
  const statuses = await Promise.all(NAMES.map(statusOf));
  await own.close();
  expect(statuses).toEqual([200, 429, 200]);
});
