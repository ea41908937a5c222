/** What a page of another origin may do, as its browser would find out. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiKeys, makeApiKey } from '../../src/http/api-keys.js';
import { openWorkshop, startService, type TestService, type Workshop } from './test-service.js';

const LISTED = ['https://app.example.org', 'http://localhost:5173'];
const FOREIGN = [
  'https://evil.example',
  'https://app.example.org.evil.example',
  'http://app.example.org',
  'https://app.example.org:8443',
  'null',
];
const { key, line } = makeApiKey({ client: 'lab' });
const keys = ApiKeys.parse(line, 0);
const apiKeys = { clientOf: (each: string) => keys.clientOf(each, 0) };

let workshop: Workshop;
let closed: TestService;
let listed: TestService;

beforeAll(async () => {
  workshop = await openWorkshop();
  closed = await startService(workshop, { apiKeys });
  listed = await startService(workshop, { apiKeys, env: { CORS_ORIGINS: LISTED.join(', ') } });
});
afterAll(async () => {
  await closed.close();
  await listed.close();
  await workshop.close();
});

/** What a browser asks before it sends a key. */
const preflight = (own: TestService, origin: string, path = '/v1/tags') =>
  fetch(own.url + path, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'authorization',
    },
  });
const ask = (own: TestService, origin: string, path = '/v1/info') =>
  fetch(own.url + path, { headers: { Origin: origin, Authorization: `Bearer ${key}` } });
const allowedOrigin = ({ headers }: Response) => headers.get('access-control-allow-origin');

describe.each([...LISTED, ...FOREIGN])('CORS_ORIGINS not set, a page of %s', (origin) => {
  test('is let in nowhere', async () => {
    for (const reply of [await preflight(closed, origin), await ask(closed, origin)]) {
      expect(allowedOrigin(reply)).toBeNull();
    }
  });
});

describe.each(LISTED)('a page of %s, which is listed', (origin) => {
  test('may ask without a key whether it may send one', async () => {
    const reply = await preflight(listed, origin);
    expect(reply.status).toBe(204);
    expect(allowedOrigin(reply)).toBe(origin);
    expect(reply.headers.get('access-control-allow-headers')).toContain('Authorization');
    expect(reply.headers.get('access-control-allow-methods')).toBe('GET,POST');
    expect(reply.headers.get('access-control-allow-credentials')).toBeNull();
  });

  test('reads the reply, its problem too, and the headers that say something', async () => {
    const reply = await ask(listed, origin);
    expect([reply.status, allowedOrigin(reply)]).toEqual([200, origin]);
    expect(reply.headers.get('vary')).toContain('Origin');
    const exposed = reply.headers.get('access-control-expose-headers');
    for (const name of ['X-Request-Id', 'Server-Timing', 'Retry-After', 'X-Model']) {
      expect(exposed).toContain(name);
    }
    const refused = await fetch(`${listed.url}/v1/info`, { headers: { Origin: origin } });
    expect([refused.status, allowedOrigin(refused)]).toEqual([401, origin]);
    const unknown = await ask(listed, origin, '/v1/models/huge');
    expect([unknown.status, allowedOrigin(unknown)]).toEqual([404, origin]);
  });
});

describe.each(FOREIGN)('a page of %s, which is not listed', (origin) => {
  test('is let in nowhere', async () => {
    for (const reply of [await preflight(listed, origin), await ask(listed, origin)]) {
      expect(allowedOrigin(reply)).toBeNull();
      expect(reply.headers.get('access-control-allow-credentials')).toBeNull();
      // A cache must not give one origin the reply for another.
      expect(reply.headers.get('vary')).toContain('Origin');
    }
  });
});

test('a plain OPTIONS is no question of a browser', async () => {
  const headers = { Origin: LISTED[0] ?? '', Authorization: `Bearer ${key}` };
  const reply = await fetch(`${listed.url}/v1/tags`, { method: 'OPTIONS', headers });
  expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'POST']);
});

test('what is not the API is for no other origin', async () => {
  for (const path of ['/metrics', '/livez', '/openapi.json', '/docs/']) {
    expect(allowedOrigin(await ask(listed, LISTED[0] ?? '', path))).toBeNull();
  }
});
