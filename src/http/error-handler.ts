import type { ErrorRequestHandler, Request, Response } from 'express';
import { ServiceError } from '../errors.js';
import type { Log } from '../log.js';
import { ClientGoneError, PROBLEM_MEDIA_TYPE, toProblem, toServiceError } from './problem.js';
import { setContextHeaders } from './reply.js';
import { contextOf } from './request-context.js';

/** Last middleware: every failure becomes a problem; what was not thrown on purpose keeps its details. */
export function errorHandler(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (error instanceof ClientGoneError) return;
    const known = error instanceof URIError ? badName() : toServiceError(error);
    if (known.code === 'internal') {
      log.error({ request_id: contextOf(request).id, err: error }, 'unexpected error');
    }
    sendProblem(known, request, response);
  };
}

/** Anything without a route. */
export function notFound(request: Request): ServiceError {
  return new ServiceError('not_found', `There is nothing at ${request.method} ${request.path}`);
}

function sendProblem(error: ServiceError, request: Request, response: Response): void {
  // Half a reply is out: the only honest end is a broken connection.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const context = contextOf(request);
  context.outcome = error.code;
  setContextHeaders(request, response);
  const { retry_after_seconds: retryAfterSeconds, allow } = error.extensions;
  if (retryAfterSeconds !== undefined) response.set('Retry-After', String(retryAfterSeconds));
  if (Array.isArray(allow)) response.set('Allow', allow.join(', '));
  // The rest of the body would drip on: the place is free, now the connection is.
  if (error.code === 'upload_timeout') response.set('Connection', 'close');
  response.status(error.status).type(PROBLEM_MEDIA_TYPE);
  response.send(JSON.stringify(toProblem(error, context.id)));
}

/** Express throws on `/v1/models/%`, the only kind of path with a name in it, before the route sees it. */
function badName(): ServiceError {
  return new ServiceError('unknown_model', 'Expected a percent-encoded name in the path, got none');
}
