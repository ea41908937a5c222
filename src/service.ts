import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Decoder } from './audio/decode.js';
import { openDecoder } from './audio/open-decoder.js';
import { type Config, ConfigError } from './config.js';
import { ApiKeysFile } from './http/api-keys-file.js';
import { Lifecycle } from './http/lifecycle.js';
import { loadOpenApi } from './http/openapi-document.js';
import { measuredRoutes } from './http/route-names.js';
import { createHttpServer, type HttpServer } from './http/server.js';
import { Spool } from './http/spool.js';
import { systemClock } from './inference/clock.js';
import { createModelRegistry, type ModelRegistry } from './inference/model-registry.js';
import { listen } from './listen.js';
import type { Log } from './log.js';
import { createMetrics, type Metrics } from './metrics.js';
import { loadOntology } from './ontology/load-ontology.js';
import type { SideServers } from './side-servers.js';

/** A service that listens. */
export interface Service {
  /** Of the main port, as a person on this machine may open it. */
  readonly url: string;
  /** Undefined: on the main port, or off. */
  readonly metricsUrl: string | undefined;
  /** The same. */
  readonly docsUrl: string | undefined;
  readonly registry: ModelRegistry;
  /** Says not ready, goes on serving for `preStopMs`, drains, ends threads and engines. */
  close(options: { preStopMs: number }): Promise<void>;
}

/**
 * Loads the models, starts the decode threads and listens; when it returns, requests are welcome.
 *
 * @throws Error of one line that says what is missing or wrong
 */
export async function startService(config: Config, log: Log): Promise<Service> {
  const lifecycle = new Lifecycle();
  const openApi = await loadOpenApi();
  const apiKeys = await openApiKeys(config, log);
  const spool = await openSpool(config, log);
  let loaded: ModelRegistry | undefined;
  const metrics = createMetrics({
    versions: await readVersions(),
    routes: measuredRoutes(openApi),
    isReady: () => (loaded?.ready() ?? false) && !lifecycle.isLeaving,
    isDraining: () => lifecycle.isLeaving,
  });
  const { registry, decoder, ontology, createApp, openSideServers } = await openParts(
    config,
    log,
    metrics,
  );
  loaded = registry;
  const stopWatching = apiKeys?.watch(systemClock);
  const stopWork = async () => {
    stopWatching?.();
    await Promise.all([decoder.close(), registry.close()]);
  };
  const app = createApp({
    config,
    apiKeys,
    registry,
    decoder,
    spool,
    lifecycle,
    metrics,
    openApi,
    ontology,
    log,
    clock: systemClock,
  });
  const http = createHttpServer(app, { ...config, log });
  try {
    const url = await listen(http.server, { port: config.port, host: config.host, name: 'PORT' });
    const side = await openSideServers(config, { metrics, openApi });
    const close = stopper({ config, lifecycle, http, side, stopWork });
    return { url, metricsUrl: side.metricsUrl, docsUrl: side.docsUrl, registry, close };
  } catch (error) {
    await stopWork();
    throw error;
  }
}

async function openApiKeys({ apiKeysFile }: Config, log: Log): Promise<ApiKeysFile | undefined> {
  if (apiKeysFile === undefined) return undefined;
  return ApiKeysFile.open(apiKeysFile, { log }).catch((error: Error) => {
    throw new ConfigError(`API_KEYS_FILE: ${error.message}`);
  });
}

async function openSpool(config: Config, log: Log): Promise<Spool> {
  const spool = new Spool(config.spoolDir);
  const maxAgeMs = config.uploadTimeoutMs + config.requestTimeoutMs;
  const deleted = await spool.sweep({ maxAgeMs }).catch((error: Error) => {
    throw new ConfigError(`SPOOL_DIR: expected a folder to write in, ${error.message}`);
  });
  if (deleted > 0) log.info({ files: deleted }, 'deleted uploads that an earlier process left');
  return spool;
}

/** From package.json, where the runtime is pinned to one version. */
async function readVersions(): Promise<{ service: string; onnxruntime: string }> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  const { version, dependencies } = JSON.parse(text);
  return { service: version, onnxruntime: dependencies['onnxruntime-node'] };
}

/** What takes its time, all at once: engines load in processes of their own, and meanwhile the code of the routes is read. */
async function openParts(config: Config, log: Log, metrics: Metrics) {
  const models = openModels(config, log, metrics);
  const clipDecoder = openClipDecoder(config, log);
  const reading = [loadOntology(), import('./app.js'), import('./side-servers.js')] as const;
  try {
    const [registry, decoder, ontology, { createApp }, { openSideServers }] = await Promise.all([
      models,
      clipDecoder,
      ...reading,
    ]);
    return { registry, decoder, ontology, createApp, openSideServers };
  } catch (error) {
    const opened = await Promise.allSettled([models, clipDecoder]);
    await Promise.all(opened.map((each) => each.status === 'fulfilled' && each.value.close()));
    throw error;
  }
}

async function openModels(config: Config, log: Log, metrics: Metrics): Promise<ModelRegistry> {
  const registry = await createModelRegistry({
    ...config,
    provider: config.executionProvider,
    log,
    observer: metrics,
  });
  for (const { card, precision, provider } of registry.list()) {
    const graph = card.graphs.encoder[precision.active] ?? card.graphs.encoder.fp32;
    const { name, revision } = card;
    metrics.describeModel({
      name,
      revision,
      precision: precision.active,
      provider: provider.active,
      sha256: graph.sha256,
    });
  }
  return registry;
}

async function openClipDecoder(config: Config, log: Log): Promise<Decoder> {
  const { decodeConcurrency: threads, decodeTimeoutMs: timeoutMs } = config;
  const opening = openDecoder({ ...config, threads, timeoutMs });
  const decoder = await opening.catch(({ message }: Error) => {
    throw new ConfigError(message);
  });
  const { ffmpegVersion: ffmpeg, formats } = decoder;
  log.info({ ffmpeg, formats }, 'decoder started');
  return decoder;
}

function stopper(parts: {
  config: Config;
  lifecycle: Lifecycle;
  http: HttpServer;
  side: SideServers;
  stopWork: () => Promise<void>;
}): Service['close'] {
  const { config, lifecycle, http, side, stopWork } = parts;
  return async ({ preStopMs }) => {
    lifecycle.leave();
    // Balancers need a while to see /readyz; what they send until then is served.
    await wait(preStopMs);
    lifecycle.drain();
    await http.close(config);
    await stopWork();
    side.close();
  };
}
