import allowOrigins from 'cors';
import type { RequestHandler } from 'express';

const MAX_AGE_SECONDS = 600;
const REQUEST_HEADERS = ['Authorization', 'Content-Type', 'X-Request-Id', 'traceparent'];
const REPLY_HEADERS = [
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Server-Timing',
  'WWW-Authenticate',
  'X-Execution-Provider',
  'X-Model',
  'X-Request-Id',
  'traceparent',
];

/**
 * Lets scripts on pages of these origins read replies, and browsers ask beforehand whether they may.
 *
 * No cookies are allowed, since the service knows none. It stands before `authenticate`: browsers
 * ask without a key.
 */
export function allowCrossOrigin(origins: readonly string[]): RequestHandler {
  const allow = allowOrigins({
    origin: [...origins],
    methods: ['GET', 'POST'],
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: REPLY_HEADERS,
    maxAge: MAX_AGE_SECONDS,
  });
  return (request, response, next) => {
    const isPlainOptions =
      request.method === 'OPTIONS' && request.get('Access-Control-Request-Method') === undefined;
    if (isPlainOptions) next();
    else allow(request, response, next);
  };
}
