import type { RequestHandler } from 'express';
import type { Decoder } from '../analyze/hear.js';
import type { Config } from '../config.js';
import type { ModelRegistry } from '../inference/model-registry.js';
import type { Metrics } from '../metrics.js';
import { draining, notReady } from './admission.js';
import type { Lifecycle } from './lifecycle.js';
import { toPrecisionChoice, toProvider } from './model-routes.js';
import type { components } from './openapi-types.js';
import type { ParseParameters } from './parameters.js';

type Info = components['schemas']['ServiceInfo'];

/** GET /livez: depends on nothing. */
export const livenessRoute = (): RequestHandler => (_request, response) => {
  response.json({ status: 'live' });
};

/** GET /readyz */
export function readinessRoute(deps: {
  registry: ModelRegistry;
  lifecycle: Lifecycle;
}): RequestHandler {
  return (_request, response) => {
    if (deps.lifecycle.isLeaving) throw draining();
    if (!deps.registry.ready()) throw notReady();
    response.json({ status: 'ready' });
  };
}

/** GET /metrics */
export function metricsRoute(metrics: Metrics): RequestHandler {
  return async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.render());
  };
}

/** GET /v1/info */
export function infoRoute(deps: {
  config: Config;
  registry: ModelRegistry;
  decoder: Pick<Decoder, 'formats' | 'ffmpegVersion'>;
  version: string;
  parseParameters: ParseParameters;
}): RequestHandler {
  const { config, registry, decoder, version } = deps;
  const startMs = performance.now();
  return (request, response) => {
    deps.parseParameters('getInfo', request.query);
    const info: Info = {
      version,
      node: process.version,
      uptime_seconds: Math.round((performance.now() - startMs) / 1000),
      default_model: registry.defaultName,
      models: toModels(registry),
      formats: [...decoder.formats],
      decoders: { ffmpeg: decoder.ffmpegVersion },
      limits: toLimits(config, registry),
    };
    response.json(info);
  };
}

function toModels(registry: ModelRegistry): Info['models'] {
  return registry.list().map(({ card, precision, provider, engines }) => ({
    id: card.name,
    revision: card.revision,
    precision: precision.active,
    precision_choice: toPrecisionChoice(precision),
    provider: toProvider(provider),
    engines,
  }));
}

function toLimits(config: Config, registry: ModelRegistry): Info['limits'] {
  return {
    max_upload_bytes: config.maxUploadBytes,
    max_files: config.maxFiles,
    max_uploads: config.maxUploads,
    max_clip_seconds: config.maxClipSeconds,
    queue_max_windows: registry.get().queueMaxWindows,
    queue_max_audio_seconds: config.queueMaxAudioSeconds ?? null,
    request_timeout_ms: config.requestTimeoutMs,
    upload_timeout_ms: config.uploadTimeoutMs,
    upload_min_bytes_per_second: config.uploadMinBytesPerSecond,
    decode_timeout_ms: config.decodeTimeoutMs,
    rate_limit_per_minute: config.rateLimitPerMinute,
    max_concurrent_per_client: config.maxConcurrentPerClient,
  };
}
