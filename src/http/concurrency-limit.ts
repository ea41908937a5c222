import type { RequestHandler } from 'express';
import { ServiceError } from '../errors.js';
import { callerOf } from './caller.js';
import { contextOf } from './request-context.js';

const RETRY_AFTER_SECONDS = 1;

/** So many requests of a caller in hand at once, from their head to the end of their reply; 0 is no limit. */
export function limitConcurrency(maxPerClient: number): RequestHandler {
  const inHand = new Map<string, number>();
  return (request, response, next) => {
    const max = contextOf(request).client?.maxConcurrent ?? maxPerClient;
    const caller = callerOf(request);
    const count = inHand.get(caller) ?? 0;
    if (max > 0 && count >= max) throw tooManyAtOnce(max);
    inHand.set(caller, count + 1);
    response.once('close', () => {
      const left = (inHand.get(caller) ?? 1) - 1;
      if (left > 0) inHand.set(caller, left);
      else inHand.delete(caller);
    });
    next();
  };
}

function tooManyAtOnce(max: number): ServiceError {
  const detail = `Expected at most ${max} requests at once, got one more`;
  return new ServiceError('client_concurrency', detail, {
    retry_after_seconds: RETRY_AFTER_SECONDS,
    limits: { max_concurrent_per_client: max },
  });
}
