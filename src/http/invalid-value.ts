import { ServiceError } from '../errors.js';

/** `invalid_value` of one parameter: what was expected and what came. */
export function invalidValue(parameter: string, detail: string): ServiceError {
  return new ServiceError('invalid_value', `${parameter}: ${detail}`, {
    errors: [{ parameter, detail }],
  });
}
