import type { Hearing } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';

/** The parameters that say what of a clip is heard, as openapi.yaml names them. */
export interface HearingParameters {
  readonly start_seconds: number;
  readonly end_seconds?: number | undefined;
  readonly channel: Hearing['channel'];
  readonly short: Hearing['short'];
}

/**
 * What of a clip a request wants to hear.
 *
 * @throws ServiceError `invalid_value` for an end that is not behind the start
 */
export function toHearing(parameters: HearingParameters): Omit<Hearing, 'outputs'> {
  const { start_seconds: startSeconds, end_seconds: endSeconds, channel, short } = parameters;
  if (endSeconds !== undefined && endSeconds <= startSeconds) {
    const detail = `Expected more than start_seconds = ${startSeconds}, got ${endSeconds}`;
    const errors = [{ parameter: 'end_seconds', detail }];
    throw new ServiceError('invalid_value', `end_seconds: ${detail}`, { errors });
  }
  return { channel, startSeconds, endSeconds, short };
}
