import express, { type Express, type RequestHandler } from 'express';
import type { Decoder } from './analyze/hear.js';
import type { Config } from './config.js';
import { ServiceError } from './errors.js';
import { Admission } from './http/admission.js';
import type { ApiKeysFile } from './http/api-keys-file.js';
import type { AudioRouteDeps } from './http/audio-route.js';
import { authenticate } from './http/authenticate.js';
import { limitConcurrency } from './http/concurrency-limit.js';
import { allowCrossOrigin } from './http/cors.js';
import { docsRoutes } from './http/docs-route.js';
import { embedRoute } from './http/embed-route.js';
import { errorHandler, notFound } from './http/error-handler.js';
import { eventRoute } from './http/event-route.js';
import { listLabelsRoute } from './http/label-routes.js';
import type { Lifecycle } from './http/lifecycle.js';
import { getModelRoute, listModelsRoute } from './http/model-routes.js';
import type { OpenApiDocument } from './http/openapi-document.js';
import {
  infoRoute,
  livenessRoute,
  metricsRoute,
  readinessRoute,
} from './http/operations-routes.js';
import { pageFiles, pageRoute } from './http/page-route.js';
import { createParameterParser } from './http/parameters.js';
import { limitRate } from './http/rate-limit.js';
import { requestContext } from './http/request-context.js';
import { createRouteNames } from './http/route-names.js';
import { securityHeaders } from './http/security-headers.js';
import type { Spool } from './http/spool.js';
import { tagRoute } from './http/tag-route.js';
import { tokenRoute } from './http/token-route.js';
import type { Clock } from './inference/clock.js';
import type { ModelRegistry } from './inference/model-registry.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import type { Ontology } from './ontology/ontology.js';

export interface AppDeps {
  readonly config: Config;
  /** Undefined: everyone may ask. */
  readonly apiKeys: Pick<ApiKeysFile, 'clientOf'> | undefined;
  readonly registry: ModelRegistry;
  readonly decoder: Pick<Decoder, 'decode' | 'formats' | 'ffmpegVersion'>;
  readonly spool: Spool;
  readonly lifecycle: Lifecycle;
  readonly metrics: Metrics;
  readonly openApi: OpenApiDocument;
  readonly ontology: Ontology;
  readonly log: Log;
  readonly clock: Clock;
}

/** The whole HTTP surface as an Express application. Opens nothing and listens nowhere. */
export function createApp(deps: AppDeps): Express {
  const { config, metrics, openApi, log } = deps;
  const app = express();
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  app.set('etag', false);
  app.set('trust proxy', config.trustProxy);
  app.disable('x-powered-by');
  app.use(requestContext({ log, metrics, routeOf: createRouteNames(openApi) }));
  app.use(securityHeaders());
  addDoors(app, deps);
  addAudioRoutes(app, deps);
  addOperationsRoutes(app, deps);
  const hasDocs = config.docs && config.docsPort === undefined;
  if (hasDocs) app.use('/docs', docsRoutes({ canAsk: true }));
  if (config.page) {
    app.use('/page', pageFiles());
    route(app, '/', { get: pageRoute() });
  } else if (hasDocs) {
    route(app, '/', { get: (_request, response) => response.redirect('/docs/') });
  }
  app.use((request) => {
    throw notFound(request);
  });
  app.use(errorHandler(log));
  return app;
}

/** Who may ask, and how much: settled before anything else is done for a request. */
function addDoors(app: Express, { config, apiKeys }: AppDeps): void {
  if (config.corsOrigins.length > 0) app.use('/v1', allowCrossOrigin(config.corsOrigins));
  if (apiKeys) app.use('/v1', authenticate(apiKeys));
  app.use('/v1', limitConcurrency(config.maxConcurrentPerClient));
  app.use('/v1', limitRate(config.rateLimitPerMinute));
}

function addAudioRoutes(app: Express, deps: AppDeps): void {
  const { config, registry, decoder, spool, lifecycle, metrics, openApi, log, clock } = deps;
  const parseParameters = createParameterParser(openApi);
  const isReady = () => registry.ready();
  const admission = new Admission({ ...config, lifecycle, isReady, metrics });
  const audio: AudioRouteDeps = {
    registry,
    decoder,
    spool,
    admission,
    parseParameters,
    log,
    limits: config,
    clock,
  };
  route(app, '/v1/tags', { post: tagRoute({ ...audio, ontology: deps.ontology }) });
  route(app, '/v1/embeddings', { post: embedRoute(audio) });
  route(app, '/v1/events', { post: eventRoute(audio) });
  route(app, '/v1/tokens', { post: tokenRoute(audio) });
  const models = { registry, parseParameters };
  route(app, '/v1/models', { get: listModelsRoute(models) });
  route(app, '/v1/models/:name', { get: getModelRoute(models) });
  route(app, '/v1/labels', { get: listLabelsRoute({ ...models, ontology: deps.ontology }) });
  const { version } = openApi.info;
  route(app, '/v1/info', { get: infoRoute({ ...deps, version, parseParameters }) });
}

function addOperationsRoutes(app: Express, deps: AppDeps): void {
  const { config, registry, lifecycle, metrics, openApi } = deps;
  route(app, '/livez', { get: livenessRoute() });
  route(app, '/readyz', { get: readinessRoute({ registry, lifecycle }) });
  const hasMetrics = config.metrics && config.metricsPort === undefined;
  if (hasMetrics) route(app, '/metrics', { get: metricsRoute(metrics) });
  route(app, '/openapi.json', { get: (_request, response) => response.json(openApi) });
}

/** One method of one path; any other method is refused with the one that there is. */
function route(
  app: Express,
  path: string,
  handlers: { get: RequestHandler } | { post: RequestHandler },
) {
  const isGet = 'get' in handlers;
  if (isGet) app.get(path, handlers.get);
  else app.post(path, handlers.post);
  app.all(path, (request) => {
    const allow = isGet ? ['GET', 'HEAD'] : ['POST'];
    const detail = `Expected ${allow.join(' or ')}, got ${request.method}`;
    throw new ServiceError('method_not_allowed', detail, { allow });
  });
}
