import type { components } from '../src/http/openapi-types.js';

export type Problem = components['schemas']['Problem'];

/** The service refused, and said why. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** The reply to a request that failed, RFC 9457 or not. */
export function toProblemError({ status, text }: { status: number; text: string }): Error {
  try {
    const body: unknown = JSON.parse(text);
    if (isProblem(body)) return new ProblemError(body);
  } catch {
    // A proxy before the service may answer in its own words.
  }
  return new Error(`Expected an answer of the service, got status ${status}`);
}

/** Whether this is one, also as a line of a stream that ended with it. */
export function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'detail' in body;
}
