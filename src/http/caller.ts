import type { Request } from 'express';
import { ipKeyGenerator } from 'express-rate-limit';
import { contextOf } from './request-context.js';

/**
 * Who is counted together: a client with all of its keys, else an address.
 *
 * IPv6 addresses are taken by their first 56 bits, since one line has at least as many of its own.
 */
export function callerOf(request: Request): string {
  const { client } = contextOf(request);
  if (client !== undefined) return `client ${client.id}`;
  return `address ${ipKeyGenerator(request.ip ?? '')}`;
}
