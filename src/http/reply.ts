import type { Request, Response } from 'express';
import { contextOf } from './request-context.js';

/** Headers that tell the client who answered and where the time went. */
export function setContextHeaders(request: Request, response: Response): void {
  const context = contextOf(request);
  const timing = context.stageMs().map(([stage, ms]) => `${stage};dur=${ms}`);
  if (timing.length > 0) response.set('Server-Timing', timing.join(', '));
  if (context.model !== '') response.set('X-Model', context.model);
  if (context.provider !== '') response.set('X-Execution-Provider', context.provider);
}
