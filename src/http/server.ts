import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ServiceError } from '../errors.js';
import type { Log } from '../log.js';
import { PROBLEM_MEDIA_TYPE, toProblem } from './problem.js';

const HEADERS_TIMEOUT_MS = 5000;
const CHECK_INTERVAL_MS = 1000;
const MAX_CONNECTIONS = 512;
const CLOSE_IDLE_INTERVAL_MS = 100;

export interface HttpServer {
  readonly server: Server;
  /** Stops listening, lets requests in hand end within `drainTimeoutMs`, then breaks them off. */
  close(options: { drainTimeoutMs: number }): Promise<void>;
}

/** A server with limits on slow heads and bodies, and problems for what never becomes a request. */
export function createHttpServer(
  app: RequestListener,
  { uploadTimeoutMs, log }: { uploadTimeoutMs: number; log: Log },
): HttpServer {
  // The upload has its own limit, with a better answer; Node's comes after it, for what is left over.
  const requestTimeout = uploadTimeoutMs + CHECK_INTERVAL_MS;
  const server = createServer({
    requestTimeout,
    headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeout),
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
  });
  const open = new Set<ServerResponse>();
  const known = new WeakSet<Socket>();
  const listener: RequestListener = (request, response) => {
    known.add(request.socket);
    open.add(response);
    response.once('close', () => open.delete(response));
    app(request, response);
  };
  server.maxConnections = MAX_CONNECTIONS;
  server.on('request', listener);
  // The app asks for the body only when it wants it: a refusal then costs the client no upload.
  server.on('checkContinue', listener);
  server.on('clientError', (error, socket: Socket) => {
    // What the app has begun, the app ends; a second reply would be taken for another's.
    if (known.has(socket) || !socket.writable) socket.destroy();
    else refuse(error, socket, log);
  });
  return { server, close: (options) => close(server, open, options) };
}

async function close(
  server: Server,
  open: ReadonlySet<ServerResponse>,
  { drainTimeoutMs }: { drainTimeoutMs: number },
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const response of open) if (!response.headersSent) response.setHeader('Connection', 'close');
  const closeIdle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_INTERVAL_MS);
  const breakOff = setTimeout(() => server.closeAllConnections(), drainTimeoutMs);
  await closed;
  clearInterval(closeIdle);
  clearTimeout(breakOff);
}

/** Node found no request in the bytes of a connection; the app never saw it. */
function refuse(error: NodeJS.ErrnoException, socket: Socket, log: Log): void {
  const requestId = randomUUID();
  const known = toRefusal(error);
  const body = JSON.stringify(toProblem(known, requestId));
  log.info({ request_id: requestId, status: known.status, code: known.code }, 'request refused');
  socket.end(
    [
      `HTTP/1.1 ${known.status} ${known.title}`,
      'Connection: close',
      `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
      'X-Content-Type-Options: nosniff',
      `X-Request-Id: ${requestId}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      `\r\n${body}`,
    ].join('\r\n'),
  );
}

function toRefusal({ code }: NodeJS.ErrnoException): ServiceError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new ServiceError(
      'upload_timeout',
      'Expected the whole request in time, got a part of it',
    );
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ServiceError('headers_too_large', 'Expected at most 16 KiB of headers, got more');
  }
  return new ServiceError('malformed_request', `Expected an HTTP request (${code ?? 'unknown'})`);
}
