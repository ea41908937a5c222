import express, { type Express } from 'express';
import type { Metrics } from '../metrics.js';
import { docsRoutes } from './docs-route.js';
import type { OpenApiDocument } from './openapi-document.js';
import { metricsRoute } from './operations-routes.js';
import { securityHeaders } from './security-headers.js';

/** What is served on this port; undefined: not here. */
export interface SideContent {
  readonly metrics?: Metrics | undefined;
  readonly openApi?: OpenApiDocument | undefined;
}

/** `/metrics`, `/docs` or both on a port of their own, so that they need not be public. There is nothing else there. */
export function createSideApp({ metrics, openApi }: SideContent): Express {
  const app = express();
  app.set('etag', false);
  app.disable('x-powered-by');
  app.use(securityHeaders());
  if (metrics) app.get('/metrics', metricsRoute(metrics));
  if (openApi) {
    app.get('/openapi.json', (_request, response) => response.json(openApi));
    app.use('/docs', docsRoutes({ canAsk: false }));
  }
  app.use((_request, response) => {
    response.status(404).end();
  });
  return app;
}
