import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConfigError } from './config.js';

/**
 * @param name of the setting that the port is from
 * @returns the URL, as a person on this machine may open it
 * @throws ConfigError where the port cannot be had
 */
export async function listen(
  server: Server,
  { port, host, name }: { port: number; host: string | undefined; name: string },
): Promise<string> {
  server.listen({ port, ...(host !== undefined && { host }) });
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') throw new ConfigError(`${name}: ${port} is in use already`);
    throw new ConfigError(`${name}: cannot listen on ${port}, ${error.message}`);
  });
  const { port: actual } = server.address() as AddressInfo;
  return `http://${host ?? 'localhost'}:${actual}`;
}
