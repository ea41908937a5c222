import type { Request, RequestHandler } from 'express';
import { ServiceError } from '../errors.js';
import type { ApiKeysFile } from './api-keys-file.js';
import { contextOf } from './request-context.js';

/**
 * Lets through who brings a key that is known, as `Authorization: Bearer id.secret` (RFC 6750).
 *
 * It stands before everything that costs something: an unknown caller's body is never read.
 */
export function authenticate(keys: Pick<ApiKeysFile, 'clientOf'>): RequestHandler {
  return (request, response, next) => {
    const key = bearerOf(request);
    const client = key === undefined ? undefined : keys.clientOf(key);
    if (client === undefined) {
      response.set('WWW-Authenticate', challenge(key));
      throw unauthorized(key);
    }
    contextOf(request).client = client;
    next();
  };
}

function bearerOf(request: Request): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(request.get('Authorization') ?? '')?.[1];
}

function challenge(key: string | undefined): string {
  return `Bearer realm="earshot"${key === undefined ? '' : ', error="invalid_token"'}`;
}

/** Says nothing of what came: it may be a key, but for one letter. */
function unauthorized(key: string | undefined): ServiceError {
  const got = key === undefined ? 'none' : 'one that is unknown or no longer valid';
  return new ServiceError(
    'unauthorized',
    `Expected an API key in "Authorization: Bearer", got ${got}`,
  );
}
