import type { Request, RequestHandler, Response } from 'express';
import { rateLimit as countRequests, MINUTE } from 'express-rate-limit';
import { ServiceError } from '../errors.js';
import { callerOf } from './caller.js';
import { contextOf } from './request-context.js';

/**
 * So many requests of a caller in a minute, which begins with its first; 0 is no limit.
 *
 * Replies carry `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-08).
 */
export function limitRate(perMinute: number): RequestHandler {
  const limitOf = (request: Request) => contextOf(request).client?.rateLimitPerMinute ?? perMinute;
  return countRequests({
    windowMs: MINUTE,
    limit: limitOf,
    skip: (request) => limitOf(request) === 0,
    keyGenerator: callerOf,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    handler: (request, response) => {
      throw rateLimited(limitOf(request), response);
    },
    // Its checks of the setup write to the console; what they look for is tested.
    validate: false,
  });
}

function rateLimited(perMinute: number, response: Response): ServiceError {
  const detail = `Expected at most ${perMinute} requests in a minute, got one more`;
  return new ServiceError('rate_limited', detail, {
    retry_after_seconds: Math.max(1, Number(response.get('Retry-After'))),
    limits: { rate_limit_per_minute: perMinute },
  });
}
