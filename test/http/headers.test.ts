/** Headers that keep browsers from making more of a reply than it is, on every kind of reply. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import express from 'express';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { operationsOf } from '../../src/http/openapi-document.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  toneClip,
  type Workshop,
} from './test-service.js';

let workshop: Workshop;
let service: TestService;
let guarded: TestService;

beforeAll(async () => {
  workshop = await openWorkshop();
  service = await startService(workshop, { env: { MAX_UPLOAD_BYTES: '60000' } });
  guarded = await startService(workshop, { apiKeys: { clientOf: () => undefined } });
});
afterAll(async () => {
  await service.close();
  await guarded.close();
  await workshop.close();
});

/** What is wrong with the headers of a reply. */
function faultsOf(headers: Record<string, string | undefined>, status = 200): string[] {
  const policy = headers['content-security-policy'] ?? '';
  return [
    headers['x-content-type-options'] === 'nosniff' ? '' : 'nosniff',
    /default-src '(none|self)'/.test(policy) ? '' : 'default-src',
    // Nothing of a redirect is shown, framed or not.
    status === 301 || policy.includes("frame-ancestors 'none'") ? '' : 'frame-ancestors',
    /script-src[^;]*unsafe|default-src[^;]*unsafe/.test(policy) ? 'unsafe scripts' : '',
    headers['x-frame-options'] ? '' : 'x-frame-options',
    headers['referrer-policy'] === 'no-referrer' ? '' : 'referrer-policy',
    headers['x-powered-by'] === undefined ? '' : 'x-powered-by',
    headers.server === undefined ? '' : 'server',
  ].filter((fault) => fault !== '');
}

test('every route and every kind of error', async () => {
  const gets = operationsOf(workshop.openApi).filter(({ method }) => method === 'get');
  const replies = [
    ...gets.map(({ path }) => service.call('get', path.replace('{name}', 'tiny'))),
    service.call('get', '/docs/'),
    service.call('get', '/docs/swagger-ui.css'),
    service.call('get', '/nothing'),
    service.call('put', '/v1/tags'),
    guarded.call('get', '/v1/info'),
    service.call('post', '/v1/tags').type('audio/wav').send(toneClip(1)),
    service.call('post', '/v1/tags').type('audio/wav').send(Buffer.alloc(60_001)),
    service.call('post', '/v1/tags').attach('file', Buffer.alloc(0), 'x'),
    service.call('post', '/v1/tags').attach('file', clip('dog_opus.webm'), 'x'),
    service.call('post', '/v1/tags?topk=1'),
  ];
  const statuses = new Set<number>();
  for (const reply of await Promise.all(replies)) {
    statuses.add(reply.status);
    const { method, url } = reply.request as unknown as { method: string; url: string };
    expect
      .soft(faultsOf(reply.headers, reply.status), `${method} ${url} ${reply.status}`)
      .toEqual([]);
  }
  expect([...statuses].toSorted((a, b) => a - b)).toEqual(
    expect.arrayContaining([200, 301, 400, 401, 404, 405, 413, 415, 422]),
  );
});

test('what never becomes a request is not sniffed either', async () => {
  const socket = connect(service.port, '127.0.0.1');
  socket.write('GARBAGE\r\n\r\n');
  expect(await text(socket)).toMatch(/\r\nX-Content-Type-Options: nosniff\r\n/);
});

test('the check sees what Express alone would send', async () => {
  const bare = createServer(express().get('/', (_request, response) => response.send('x')));
  bare.listen(0, '127.0.0.1');
  await once(bare, 'listening');
  const { headers } = await fetch(`http://127.0.0.1:${(bare.address() as AddressInfo).port}/`);
  expect(faultsOf(Object.fromEntries(headers))).toEqual(
    expect.arrayContaining(['nosniff', 'default-src', 'x-powered-by']),
  );
  bare.closeAllConnections();
  bare.close();
});
