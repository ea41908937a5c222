import type { MeasuredRoute } from '../metrics/request-metrics.js';
import { type OpenApiDocument, operationsOf } from './openapi-document.js';

const OTHER = 'other';

/**
 * Names the path of openapi.yaml that a URL path belongs to, `other` where there is none.
 *
 * Metrics and logs carry these names, so that a client cannot make up new ones.
 */
export function createRouteNames(document: OpenApiDocument): (path: string) => string {
  const patterns = Object.keys(document.paths).map((route) => ({
    route,
    pattern: toPattern(route),
  }));
  return (path) => {
    if (path.startsWith('/docs/')) return '/docs';
    if (path.startsWith('/page/')) return '/';
    return patterns.find(({ pattern }) => pattern.test(path))?.route ?? OTHER;
  };
}

/** Every operation of openapi.yaml, and requests that belong to none. */
export function measuredRoutes(document: OpenApiDocument): MeasuredRoute[] {
  const routes = operationsOf(document).map(({ path, method, operation }) => ({
    method: method.toUpperCase(),
    route: path,
    status: Number(Object.keys(operation.responses)[0]),
    isAudio: operation.requestBody !== undefined,
  }));
  return [...routes, { method: 'GET', route: OTHER, status: 404, isAudio: false }];
}

function toPattern(route: string): RegExp {
  const escaped = route.replace(/[.]/g, '\\.').replace(/\{[^}]+\}/g, '[^/]+');
  return new RegExp(route === '/' ? '^/$' : `^${escaped}/?$`);
}
