import { beforeAll, beforeEach, expect, test } from 'vitest';
import { PROBLEM_CODES } from '../src/errors.js';
import { loadOpenApi } from '../src/http/openapi-document.js';
import { createRouteNames, measuredRoutes } from '../src/http/route-names.js';
import type { MeasuredRoute } from '../src/metrics/request-metrics.js';
import { createMetrics, type Metrics } from '../src/metrics.js';

let routes: MeasuredRoute[];
let routeOf: (path: string) => string;
let metrics: Metrics;
let isReady = false;

beforeAll(async () => {
  const openApi = await loadOpenApi();
  routes = measuredRoutes(openApi);
  routeOf = createRouteNames(openApi);
});
beforeEach(() => {
  metrics = createMetrics({
    versions: { service: '1.2.3', onnxruntime: '1.30.0' },
    routes,
    isReady: () => isReady,
    isDraining: () => !isReady,
  });
});

const LOADED = {
  model: 'tiny',
  provider: 'cpu',
  engines: 2,
  queueLimitWindows: 16,
  loadMs: 1500,
  warmupMs: 250,
} satisfies Parameters<Metrics['modelLoaded']>[0];

/** `name{labels}` to value, of our own metrics. */
async function samples(): Promise<Map<string, number>> {
  const lines = (await metrics.render()).split('\n').filter((line) => line.startsWith('earshot_'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

test('every closed series exists at 0 before anything has happened', async () => {
  metrics.modelLoaded(LOADED);
  const found = await samples();
  for (const code of ['ok', 'client_gone', ...PROBLEM_CODES]) {
    expect(found.get(`earshot_requests_total{route="/v1/tags",model="tiny",code="${code}"}`)).toBe(
      0,
    );
  }
  for (const name of [
    'earshot_active_uploads{route="/v1/embeddings"}',
    'earshot_stage_duration_seconds_count{stage="resample"}',
    'earshot_request_duration_seconds_count{method="GET",route="/livez",status="200"}',
    'earshot_execution_provider_fallbacks_total{reason="lib_missing"}',
    'earshot_execution_provider_active{model="tiny",provider="cuda"}',
    'earshot_engine_restarts_total{reason="timeout"}',
    'earshot_engine_busy_seconds_total{model="tiny",engine="1"}',
    'earshot_windows_total{model="tiny",provider="cpu"}',
    'earshot_nonfinite_windows_total{model="tiny"}',
    'earshot_queue_windows{model="tiny"}',
    'earshot_silent_clips_total',
    'earshot_full_scale_clips_total',
  ]) {
    expect.soft(found.get(name), name).toBe(0);
  }
});

test('what is observed is what is counted', async () => {
  metrics.modelLoaded(LOADED);
  metrics.describeModel({
    name: 'tiny',
    revision: '1',
    sha256: 'abcdef0123456789',
    precision: 'fp32',
    provider: 'cpu',
  });
  metrics.requestStarted('/v1/tags');
  metrics.requestStarted('/v1/tags');
  metrics.requestFinished({
    method: 'POST',
    route: '/v1/tags',
    status: 200,
    outcome: 'ok',
    model: 'tiny',
    durationMs: 400,
    bodyBytes: 20_000,
    audioSeconds: 5,
  });
  metrics.batchDone({
    model: 'tiny',
    provider: 'cpu',
    engine: 1,
    bucket: '4x10',
    windows: 3,
    audioSeconds: 25,
    paddedSeconds: 15,
    inferenceMs: 500,
    firstShape: true,
  });
  metrics.queueChanged({ model: 'tiny', windows: 7, audioSeconds: 66 });
  metrics.engineRestarted({ model: 'tiny', reason: 'crashed' });
  metrics.providerFellBack({ model: 'tiny', reason: 'no_device' });
  metrics.nonfiniteWindows({ model: 'tiny', windows: 2 });
  metrics.stageDone('decode', 30);
  const opus = { container: 'ogg', codec: 'opus', decoder: 'libopus', durationSeconds: 5 };
  metrics.decodeDone(opus, { silent: true, fullScaleSamples: 0 });
  metrics.decodeDone(opus, { silent: false, fullScaleSamples: 3 });
  metrics.decodeFailed('unsupported_format');
  const found = await samples();
  const expected: Record<string, number> = {
    'earshot_active_requests{route="/v1/tags"}': 1,
    'earshot_requests_total{route="/v1/tags",model="tiny",code="ok"}': 1,
    'earshot_request_duration_seconds_sum{method="POST",route="/v1/tags",status="200"}': 0.4,
    'earshot_request_body_bytes_sum{route="/v1/tags"}': 20_000,
    'earshot_audio_seconds_total{route="/v1/tags",model="tiny"}': 5,
    'earshot_windows_total{model="tiny",provider="cpu"}': 3,
    'earshot_batches_total{model="tiny",provider="cpu"}': 1,
    'earshot_batch_windows_sum{model="tiny"}': 3,
    'earshot_batch_duration_seconds_sum{model="tiny",provider="cpu",bucket="4x10"}': 0.5,
    'earshot_batch_audio_seconds_total{model="tiny"}': 25,
    'earshot_batch_padded_seconds_total{model="tiny"}': 15,
    'earshot_engine_busy_seconds_total{model="tiny",engine="1"}': 0.5,
    'earshot_first_shape_runs_total{model="tiny",bucket="4x10"}': 1,
    'earshot_queue_windows{model="tiny"}': 7,
    'earshot_queue_audio_seconds{model="tiny"}': 66,
    'earshot_queue_limit_windows{model="tiny"}': 16,
    'earshot_engine_restarts_total{reason="crashed"}': 1,
    'earshot_execution_provider_fallbacks_total{reason="no_device"}': 1,
    'earshot_execution_provider_active{model="tiny",provider="cpu"}': 1,
    'earshot_nonfinite_windows_total{model="tiny"}': 2,
    'earshot_stage_duration_seconds_sum{stage="decode"}': 0.03,
    'earshot_decodes_total{container="ogg",codec="opus",decoder="libopus",outcome="ok"}': 2,
    'earshot_decodes_total{container="other",codec="other",decoder="other",outcome="unsupported_format"}': 1,
    earshot_clip_duration_seconds_sum: 10,
    earshot_silent_clips_total: 1,
    earshot_full_scale_clips_total: 1,
    'earshot_model_load_duration_seconds{model="tiny"}': 1.5,
    'earshot_warmup_duration_seconds{model="tiny"}': 0.25,
    'earshot_model_info{model="tiny",revision="1",sha256="abcdef012345",precision="fp32",provider="cpu"}': 1,
    [`earshot_build_info{version="1.2.3",node="${process.version}",onnxruntime="1.30.0"}`]: 1,
  };
  for (const [name, value] of Object.entries(expected)) {
    expect.soft(found.get(name), name).toBe(value);
  }
});

test('ready and draining are asked for at every scrape', async () => {
  for (isReady of [true, false, true]) {
    const found = await samples();
    expect(found.get('earshot_ready')).toBe(isReady ? 1 : 0);
    expect(found.get('earshot_draining')).toBe(isReady ? 0 : 1);
  }
});

test('paths that a client makes up share one label', () => {
  const made = Array.from({ length: 100 }, (_, i) => routeOf(`/v1/${i}/${'x'.repeat(i)}`));
  expect(new Set(made)).toEqual(new Set(['other']));
  expect(routeOf('/v1/models/anything')).toBe('/v1/models/{name}');
  expect(routeOf('/docs/swagger-ui.css')).toBe('/docs');
  expect(routeOf('/')).toBe('/');
});

test('names carry their unit, counters end in _total, and all have help', async () => {
  const text = await metrics.render();
  const families = [...text.matchAll(/^# TYPE (earshot_\w+) (\w+)$/gm)];
  expect(families.length).toBeGreaterThan(25);
  for (const [, name, type] of families) {
    expect.soft(String(name).endsWith('_total'), name).toBe(type === 'counter');
    expect.soft(name).not.toMatch(/_(ms|milliseconds|kb|percent)\b/);
    expect.soft(text).toMatch(new RegExp(`^# HELP ${name} \\S`, 'm'));
  }
});
