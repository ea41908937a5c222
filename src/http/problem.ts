import { ServiceError } from '../errors.js';
import type { components } from './openapi-types.js';

export type Problem = components['schemas']['Problem'];

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** The client left before its answer; nobody reads what is written then. */
export class ClientGoneError extends Error {
  constructor() {
    super('The client closed the connection before the reply');
    this.name = 'ClientGoneError';
  }
}

/** What a client may know of an error: a ServiceError as it is, anything else only that it happened. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  return new ServiceError('internal', 'An unexpected error; the log of the service has it');
}

/** The body of RFC 9457. */
export function toProblem(error: ServiceError, requestId: string): Problem {
  return {
    type: `/problems/${error.code}`,
    title: error.title,
    status: error.status,
    detail: error.message,
    instance: `urn:request:${requestId}`,
    code: error.code,
    ...error.extensions,
  };
}
