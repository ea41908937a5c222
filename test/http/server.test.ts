import { once } from 'node:events';
import { request as httpRequest, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { createHttpServer, type HttpServer } from '../../src/http/server.js';
import { createLog } from '../../src/log.js';

const lines: Record<string, unknown>[] = [];
const log = createLog({ level: 'info', destination: { write: (l) => lines.push(JSON.parse(l)) } });
let http: HttpServer;

afterEach(async () => {
  lines.length = 0;
  await http.close({ drainTimeoutMs: 0 });
});

async function listen(app: RequestListener, { uploadTimeoutMs = 60_000 } = {}): Promise<number> {
  http = createHttpServer(app, { uploadTimeoutMs, log });
  http.server.listen(0, '127.0.0.1');
  await once(http.server, 'listening');
  return (http.server.address() as AddressInfo).port;
}

/** What the server says to these bytes, until it closes the connection. */
async function say(port: number, bytes: string): Promise<{ head: string; body: unknown }> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
  return { head, body: body === '' ? undefined : JSON.parse(body) };
}

const unreachable: RequestListener = () => {
  throw new Error('Expected no request to come this far');
};

test.each([
  ['GARBAGE\r\n\r\n', 400, 'malformed_request'],
  [
    'GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    400,
    'malformed_request',
  ],
  [`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
])('what is no request is answered with a problem: %#', async (bytes, status, code) => {
  const { head, body } = await say(await listen(unreachable), bytes);
  expect(head).toContain(`HTTP/1.1 ${status} `);
  expect(head).toContain('application/problem+json');
  expect(body).toMatchObject({ status, code, type: `/problems/${code}` });
  expect(lines).toMatchObject([{ status, code }]);
});

test('a head that never ends is answered with 408', async () => {
  const port = await listen(unreachable, { uploadTimeoutMs: 1 });
  const { head, body } = await say(port, 'GET / HTTP/1.1\r\n');
  expect(head).toContain('HTTP/1.1 408 ');
  expect(body).toMatchObject({ code: 'upload_timeout' });
});

test('closing answers what is in hand, says that the connection ends, and refuses new ones', async () => {
  let answer: (() => void) | undefined;
  const port = await listen((_request, response) => {
    answer = () => response.end('done');
  });
  const request = httpRequest({ port, host: '127.0.0.1', agent: false }).end();
  await expect.poll(() => answer).toBeDefined();
  const closing = http.close({ drainTimeoutMs: 60_000 });
  answer?.();
  const [response] = await once(request, 'response');
  expect(response.headers.connection).toBe('close');
  expect(await text(response)).toBe('done');
  await closing;
  await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED');
});

test('closing breaks off what does not end in time', async () => {
  let isBegun = false;
  const port = await listen(() => {
    isBegun = true;
  });
  const request = httpRequest({ port, host: '127.0.0.1' }).end();
  await expect.poll(() => isBegun).toBe(true);
  const broken = once(request, 'response');
  await http.close({ drainTimeoutMs: 1 });
  await expect(broken).rejects.toThrow();
});

test('idle connections do not hold up closing', async () => {
  const port = await listen((_request, response) => response.end());
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  await http.close({ drainTimeoutMs: 60_000 });
  await once(socket, 'close');
});
