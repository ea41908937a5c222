/** Shows every operation and status of openapi.yaml once, and that there are no others. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROBLEM_CODES, ServiceError } from '../../src/errors.js';
import { operationsOf } from '../../src/http/openapi-document.js';
import type { Model, ModelRegistry } from '../../src/inference/model-registry.js';
import { LinkedModels } from '../inference/linked-models.js';
import { TINY_FOLDER, TINY_TOKEN_FOLDER } from '../inference/tiny-model.js';
import {
  clip,
  MAX_CLIP_SECONDS,
  openFullDisk,
  openWorkshop,
  startService,
  type TestService,
  type TestServiceOptions,
  toneClip,
  type Workshop,
} from './test-service.js';

/** Each with a model that can answer it. */
const AUDIO_PATHS = [
  ['/v1/tags', 'tiny'],
  ['/v1/embeddings', 'tiny'],
  ['/v1/events', 'tiny'],
  ['/v1/tokens', 'tiny-tokens'],
] as const;
const models = new LinkedModels(TINY_FOLDER, TINY_TOKEN_FOLDER);

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop({ ...models, model: 'tiny' });
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
  models[Symbol.dispose]();
});

/** The registry with another default model, changed where a fault of inference is to be provoked. */
function withModel(name: string, change: Partial<Model> = {}): ModelRegistry {
  const { registry } = workshop;
  const model: Model = { ...registry.get(name), ...change };
  return { ...registry, get: (other = name) => (other === name ? model : registry.get(other)) };
}

/** A model whose windows all end like this. */
const ending = (run: () => Promise<never>): Partial<Model> => ({
  open: () => ({
    run,
    setMaking() {},
    timings: () => ({ queueMs: 0, inferenceMs: 0 }),
    close() {},
  }),
});

async function withService<T>(
  options: TestServiceOptions,
  work: (own: TestService) => Promise<T>,
): Promise<T> {
  const own = await startService(workshop, options);
  try {
    return await work(own);
  } finally {
    await own.close();
  }
}

describe.each(AUDIO_PATHS)('POST %s', (path, model) => {
  let usual: TestService;
  beforeAll(async () => {
    usual = await startService(workshop, { registry: withModel(model) });
  });
  afterAll(() => usual.close());
  const post = (query = '', own = usual) => own.call('post', `${path}${query}`);
  const postClip = (query = '', own = usual) =>
    post(query, own).attach('file', clip('dog.ogg'), 'x');
  const codeOf = async (request: PromiseLike<{ status: number; body: { code?: string } }>) => {
    const { status, body } = await request;
    return [status, body.code];
  };

  test('200 for one and for several', async () => {
    expect((await postClip()).status).toBe(200);
    expect((await postClip().attach('file', Buffer.alloc(0), 'x')).status).toBe(200);
  });

  test('400', async () => {
    expect(await codeOf(postClip('?topk=3'))).toEqual([400, 'unknown_parameter']);
    expect(await codeOf(postClip().field('topk', '3'))).toEqual([400, 'unknown_parameter']);
    const twice = postClip('?timeout_ms=9000').field('timeout_ms', '9000');
    expect(await codeOf(twice)).toEqual([400, 'conflicting_parameters']);
  });

  test('404: a model that is not there, asked for in the query or in the form', async () => {
    expect(await codeOf(postClip('?model=huge'))).toEqual([404, 'unknown_model']);
    expect(await codeOf(postClip().field('model', 'huge'))).toEqual([404, 'unknown_model']);
  });

  test('408', () =>
    withService({ env: { UPLOAD_TIMEOUT_MS: '20' } }, async (own) => {
      const headers = { 'Content-Length': 100 };
      const { status } = await own.callRaw({ method: 'POST', path, headers }, (request) =>
        request.write('R'),
      );
      expect(status).toBe(408);
    }));

  test('413: a clip that is too long', async () => {
    const long = post().attach('file', toneClip(MAX_CLIP_SECONDS + 1), 'x');
    expect(await codeOf(long)).toEqual([413, 'clip_too_long']);
  });

  test('415', async () => {
    const { status, body } = await post().attach('file', clip('dog_opus.webm'), 'x');
    expect([status, body.code]).toEqual([415, 'unsupported_format']);
    expect(body).toMatchObject({ needs: 'ffmpeg', accepted: expect.arrayContaining(['wav']) });
  });

  test('422', async () => {
    const broken = Buffer.concat([clip('cymbal.flac').subarray(0, 100), Buffer.alloc(4000, 7)]);
    const bodies: [Buffer, string][] = [
      [Buffer.alloc(0), 'empty_audio'],
      [toneClip(0), 'empty_audio'],
      [toneClip(0.17), 'clip_too_short'],
      [broken, 'undecodable_audio'],
    ];
    for (const [bytes, code] of bodies) {
      expect(await codeOf(post().attach('file', bytes, 'x'))).toEqual([422, code]);
    }
    expect(await codeOf(postClip('?timeout_ms=0'))).toEqual([422, 'invalid_value']);
  });

  test('429: no place for the upload, or in the queue', async () => {
    await withService({ registry: withModel(model), env: { MAX_UPLOADS: '1' } }, async (own) => {
      let letGo = () => {};
      const held = own.callRaw(
        { method: 'POST', path, headers: { 'Content-Length': 100 } },
        (request) => {
          request.write('R');
          letGo = () => request.end('R'.repeat(99));
        },
      );
      await expect.poll(() => own.spooled()).toHaveLength(1);
      const { status, body, headers } = await postClip('', own);
      expect([status, body.code]).toEqual([429, 'overloaded']);
      expect(Number(headers['retry-after'])).toBe(body.retry_after_seconds);
      letGo();
      expect((await held).status).toBe(415);
    });
    const { queueMaxWindows } = workshop.registry.get();
    const registry = withModel(model, { queuedWindows: queueMaxWindows });
    await withService({ registry }, async (own) => {
      expect(await codeOf(postClip('', own))).toEqual([429, 'overloaded']);
    });
  });

  test('500 without details, which only the log has', async () => {
    const registry = withModel(
      model,
      ending(() => Promise.reject(new TypeError('secret of the house'))),
    );
    await withService({ registry }, async (own) => {
      const one = await postClip('', own);
      expect([one.status, one.body.code]).toEqual([500, 'internal']);
      const several = await postClip('', own).attach('file', Buffer.alloc(0), 'x');
      expect(several.body.data[0]).toMatchObject({ status: 500, problem: { code: 'internal' } });
      expect(JSON.stringify([one.body, several.body])).not.toContain('secret');
      expect(JSON.stringify(own.logLines)).toContain('secret of the house');
    });
    const failing = withModel(
      model,
      ending(() => Promise.reject(new ServiceError('inference_failed', 'not finite'))),
    );
    await withService({ registry: failing }, async (own) => {
      expect(await codeOf(postClip('', own))).toEqual([500, 'inference_failed']);
    });
  });

  test('503: no engine, no engine left, shutting down', async () => {
    await withService({ registry: { ...workshop.registry, ready: () => false } }, async (own) => {
      expect(await codeOf(postClip('', own))).toEqual([503, 'not_ready']);
    });
    const unavailable = new ServiceError('engine_unavailable', 'lost', { retry_after_seconds: 2 });
    const registry = withModel(
      model,
      ending(() => Promise.reject(unavailable)),
    );
    await withService({ registry }, async (own) => {
      const { headers, body } = await postClip('', own);
      expect([headers['retry-after'], body.code]).toEqual(['2', 'engine_unavailable']);
    });
    await withService({}, async (own) => {
      own.lifecycle.drain();
      expect(await codeOf(postClip('', own))).toEqual([503, 'draining']);
    });
  });

  test('504 when timeout_ms or the limit of the service has passed', async () => {
    const registry = withModel(
      model,
      ending(() => new Promise(() => {})),
    );
    await withService({ registry }, async (own) => {
      const { status, body } = await postClip('?timeout_ms=1', own);
      expect([status, body.code]).toEqual([504, 'deadline_exceeded']);
      expect(['decode', 'inference']).toContain(body.stage);
      expect(own.spooled()).toEqual([]);
    });
    await withService({ registry, env: { REQUEST_TIMEOUT_MS: '1' } }, async (own) => {
      expect((await postClip('?timeout_ms=60000', own)).status).toBe(504);
    });
  });

  test('507', () =>
    withService({ openFile: openFullDisk }, async (own) => {
      expect(await codeOf(postClip('', own))).toEqual([507, 'storage_full']);
    }));
});

describe('models and labels', () => {
  test('GET /v1/models and /v1/models/{name}', async () => {
    const { body } = await service.call('get', '/v1/models');
    const { card } = workshop.registry.get();
    expect(body.data).toHaveLength(2);
    expect(body.data[0]).toMatchObject({
      id: 'tiny',
      default: true,
      num_labels: card.labels.length,
    });
    expect(body.data[0].graph.sha256).toBe(card.graphs.encoder.fp32.sha256);
    expect((await service.call('get', '/v1/models/tiny')).body).toEqual(body.data[0]);
    for (const name of ['huge', '%', '%E0%A4%A']) {
      const { status, body: problem } = await service.call('get', `/v1/models/${name}`);
      expect([status, problem.code]).toEqual([404, 'unknown_model']);
    }
    expect((await service.call('get', '/v1/models?x=1')).status).toBe(400);
    expect((await service.call('get', '/v1/models/tiny?x=1')).status).toBe(400);
  });

  test('GET /v1/labels finds by name and MID', async () => {
    const labels = async (query: string) => (await service.call('get', `/v1/labels${query}`)).body;
    const all = await labels('');
    expect(all.total).toBe(527);
    const dogs = await labels('?q=dOg');
    expect(dogs.data.map(({ label }: { label: string }) => label)).toContain('Dog');
    expect(dogs.data.every(({ label }: { label: string }) => /dog/i.test(label))).toBe(true);
    expect((await labels('?q=/m/0bt9lr')).data).toEqual([all.data[74]]);
    const trained = await labels('?trained=true&model=tiny');
    const untrained = await labels('?trained=false');
    expect(trained.total + untrained.total).toBe(all.total);
    expect((await labels('?trained=perhaps')).code).toBe('invalid_value');
    expect((await labels('?model=huge')).code).toBe('unknown_model');
    expect((await labels('?find=dog')).code).toBe('unknown_parameter');
  });
});

describe('operations', () => {
  test('GET /v1/info says what runs and its limits, and no path of the machine', async () => {
    const { body, text } = await service.call('get', '/v1/info');
    expect(body).toMatchObject({ version: workshop.openApi.info.version, default_model: 'tiny' });
    expect(body.models[0].provider).toEqual({ requested: 'cpu', active: 'cpu', reason: null });
    expect(body.limits.max_clip_seconds).toBe(MAX_CLIP_SECONDS);
    expect(text).not.toContain(process.cwd());
    expect((await service.call('get', '/v1/info?x=1')).status).toBe(400);
  });

  test('GET /livez is always 200; GET /readyz tells loading, leaving and draining', async () => {
    expect((await service.call('get', '/livez')).body).toEqual({ status: 'live' });
    expect((await service.call('get', '/readyz')).body).toEqual({ status: 'ready' });
    await withService({}, async (own) => {
      own.lifecycle.leave();
      expect((await own.call('get', '/readyz')).body.code).toBe('draining');
      expect((await own.call('get', '/livez')).status).toBe(200);
      const served = await own.call('post', '/v1/tags').attach('file', clip('dog.ogg'), 'x');
      expect(served.status).toBe(200);
    });
    await withService({ registry: { ...workshop.registry, ready: () => false } }, async (own) => {
      const { body, headers } = await own.call('get', '/readyz');
      expect([body.code, headers['retry-after']]).toEqual(['not_ready', '1']);
    });
  });

  test('GET /metrics, on the main port unless it has one of its own', async () => {
    expect((await service.call('get', '/metrics')).text).toContain('earshot_ready 1');
    const elsewhere: Record<string, string>[] = [{ METRICS_PORT: '0' }, { METRICS: 'off' }];
    for (const env of elsewhere) {
      await withService({ env }, async (own) => {
        expect((await own.call('get', '/metrics')).status).toBe(404);
      });
    }
  });

  test('GET /openapi.json is the file; /docs shows it without asking anyone else', async () => {
    expect((await service.call('get', '/openapi.json')).body).toEqual(workshop.openApi);
    expect((await service.call('get', '/docs')).status).toBe(301);
    const { text, headers } = await service.call('get', '/docs/');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    const assets = [...text.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, url]) => String(url));
    expect(assets.length).toBeGreaterThan(3);
    for (const asset of assets) {
      expect(asset).toMatch(/^\.\//);
      const { status } = await service.call('get', `/docs/${asset.slice(2)}`);
      expect(status).toBe(200);
    }
    const init = await service.call('get', '/docs/swagger-ui-init.js');
    expect(init.text).toContain('"validatorUrl": null');
    expect(init.text).toContain('"swaggerUrl": "/openapi.json"');
  });

  test('GET / is the page; without it the documentation, without that nothing', async () => {
    const { text, headers } = await service.call('get', '/');
    expect(text).toContain('Drop a sound here');
    expect(headers['content-security-policy']).toMatch(/^default-src 'none';script-src 'self';/);
    expect((await service.call('get', '/page/main.js')).type).toBe('text/javascript');
    expect((await service.call('get', '/page/main.ts')).body.code).toBe('not_found');
    await withService({ env: { PAGE: 'off' } }, async (own) => {
      const { status, headers: led } = await own.call('get', '/');
      expect([status, led.location]).toEqual([302, '/docs/']);
      expect((await own.call('get', '/page/main.js')).status).toBe(404);
    });
    await withService({ env: { DOCS: 'off' } }, async (own) => {
      expect((await own.call('get', '/')).status).toBe(200);
      expect((await own.call('get', '/docs')).status).toBe(404);
      expect((await own.call('get', '/openapi.json')).status).toBe(200);
    });
    await withService({ env: { DOCS_PORT: '0', PAGE: 'off' } }, async (own) => {
      expect((await own.call('get', '/docs')).status).toBe(404);
      expect((await own.call('get', '/')).status).toBe(404);
    });
    await withService({ env: { DOCS: 'off', PAGE: 'off' } }, async (own) => {
      expect((await own.call('get', '/')).status).toBe(404);
    });
  });
});

describe('who may ask, and how much', () => {
  const operations = () =>
    operationsOf(workshop.openApi)
      .filter(({ path }) => path.startsWith('/v1/'))
      .map(({ path, method }) => ({
        method: method as 'get' | 'post',
        path: path.replace('{name}', 'tiny'),
      }));

  test('401 for every operation below /v1', () =>
    withService({ apiKeys: { clientOf: () => undefined } }, async (own) => {
      for (const { method, path } of operations()) {
        const { body } = await own.call(method, path);
        expect(body, path).toMatchObject({ status: 401, code: 'unauthorized' });
      }
    }));

  test('429 for every operation below /v1', () =>
    withService({ env: { RATE_LIMIT_PER_MINUTE: '1' } }, async (own) => {
      await own.call('get', '/v1/info');
      for (const { method, path } of operations()) {
        const { body } = await own.call(method, path);
        expect(body, path).toMatchObject({ status: 429, code: 'rate_limited' });
      }
    }));
});

describe('everything else', () => {
  test.each(['/v1', '/v1/tag', '/V1/tags', '/favicon.ico'])('GET %s: 404', async (path) => {
    const { status, body } = await service.call('get', path);
    expect([status, body.code]).toEqual([404, 'not_found']);
  });

  test.each([
    ['get', '/v1/tags', 'POST'],
    ['put', '/v1/embeddings', 'POST'],
    ['options', '/v1/tags', 'POST'],
    ['delete', '/v1/models', 'GET, HEAD'],
    ['post', '/livez', 'GET, HEAD'],
  ] as const)('%s %s: 405, and Allow says %s', async (method, path, allow) => {
    const { status, headers } = await service.call(method, path);
    expect([status, headers.allow]).toEqual([405, allow]);
  });
});

test('every code of the error table is in openapi.yaml, and no other', () => {
  const schema = workshop.openApi.components.schemas?.ProblemCode as { enum: string[] };
  expect(schema.enum.toSorted()).toEqual(PROBLEM_CODES.toSorted());
});

test('every operation and status of openapi.yaml was seen', () => {
  expect(workshop.contract.unseen()).toEqual([]);
});
