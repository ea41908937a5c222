/** Who may ask, and how much: each guard beside the same request without it. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ApiKeys, makeApiKey } from '../../src/http/api-keys.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  type TestServiceOptions,
  type Workshop,
} from './test-service.js';

const LAB = makeApiKey({ client: 'lab' });
const PHONE = makeApiKey({ client: 'phone', rate_limit_per_minute: 5, max_concurrent: 2 });
const KEYS = ApiKeys.parse(`${LAB.line}\n${PHONE.line}`, 0);
const apiKeys = { clientOf: (key: string) => KEYS.clientOf(key, 0) };

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

async function withService(
  options: TestServiceOptions,
  work: (own: TestService) => Promise<void>,
): Promise<void> {
  const own = await startService(workshop, options);
  try {
    await work(own);
  } finally {
    await own.close();
  }
}

const infoAs = (own: TestService, authorization: string | undefined) => {
  const request = own.call('get', '/v1/info');
  return authorization === undefined ? request : request.set('Authorization', authorization);
};

/** A request whose body never comes: it is in hand until it is let go. */
function hold(own: TestService, headers: OutgoingHttpHeaders = {}) {
  let letGo = () => {};
  const reply = own.callRaw(
    { method: 'POST', path: '/v1/tags', headers: { 'Content-Length': 100, ...headers } },
    (request) => {
      request.write('R');
      letGo = () => request.end('R'.repeat(99));
    },
  );
  return { reply, letGo: () => letGo() };
}

describe('keys', () => {
  test.each([
    ['none', undefined, 'Bearer realm="earshot"'],
    ['another scheme', `Basic ${LAB.key}`, 'Bearer realm="earshot"'],
    ['an empty one', 'Bearer ', 'Bearer realm="earshot"'],
    ['an unknown one', `Bearer ${LAB.key}x`, 'Bearer realm="earshot", error="invalid_token"'],
    ['two', `Bearer ${LAB.key} ${LAB.key}`, 'Bearer realm="earshot"'],
    [
      'the hash',
      `Bearer ${JSON.parse(LAB.line).sha256}`,
      'Bearer realm="earshot", error="invalid_token"',
    ],
  ])('with %s: 401, and how to say who asks', (_name, authorization, challenge) =>
    withService({ apiKeys }, async (own) => {
      const { status, body, headers } = await infoAs(own, authorization);
      expect([status, body.code]).toEqual([401, 'unauthorized']);
      expect(headers['www-authenticate']).toBe(challenge);
    }),
  );

  test.each(['Bearer', 'bearer', 'BEARER  '])(
    '%s and a key: 200, and the log says whose',
    (scheme) =>
      withService({ apiKeys }, async (own) => {
        expect((await infoAs(own, `${scheme} ${LAB.key}`)).status).toBe(200);
        await expect.poll(() => own.logLines).toMatchObject([{ client: 'lab', status: 200 }]);
      }),
  );

  test('without a file of keys everyone may ask', () =>
    withService({}, async (own) => {
      for (const authorization of [undefined, 'Bearer x.y', `Bearer ${LAB.key}`]) {
        expect((await infoAs(own, authorization)).status).toBe(200);
      }
    }));

  test('a body is not read before its key: no file, not a byte', async () => {
    const opened: string[] = [];
    const openFile = (path: string) => {
      opened.push(path);
      return createWriteStream(path, { flags: 'wx' });
    };
    const expectations: [TestServiceOptions, number, number][] = [
      [{ apiKeys, openFile }, 401, 0],
      [{ openFile }, 200, 1],
    ];
    for (const [options, status, numFiles] of expectations) {
      await withService(options, async (own) => {
        const reply = await own.call('post', '/v1/tags').attach('file', clip('dog.ogg'), 'x');
        expect(reply.status).toBe(status);
        expect(opened.length).toBe(numFiles);
        await expect.poll(() => own.logLines.length).toBe(1);
        expect('body_bytes' in (own.logLines[0] ?? {})).toBe(numFiles > 0);
      });
    }
  });

  test('a client that asks first is refused before it has sent', () =>
    withService({ apiKeys }, async (own) => {
      let isInvited = false;
      const headers = { Expect: '100-continue', 'Content-Length': 1000 };
      const { status } = await own.callRaw(
        { method: 'POST', path: '/v1/tags', headers },
        (request) => {
          request.once('continue', () => {
            isInvited = true;
          });
          request.flushHeaders();
        },
      );
      expect([status, isInvited]).toEqual([401, false]);
    }));

  test('the key is asked for before anything is said: of paths, of methods, of load', () =>
    withService({ apiKeys }, async (own) => {
      own.lifecycle.drain();
      const { status } = await own.callRaw(
        { method: 'POST', path: '/v1/tags', headers: { 'Content-Length': 1e12 } },
        (request) => request.flushHeaders(),
      );
      expect(status).toBe(401);
      expect((await own.call('get', '/v1/nothing')).status).toBe(401);
      expect((await own.call('put', '/v1/nothing')).status).toBe(401);
    }));

  test('whatever spelling finds a route finds its guard', async () => {
    const spellings = [
      '/v1/info/',
      '/v1/info?x',
      '//v1/info',
      '/V1/info',
      '/%761/info',
      '/v1%2Finfo',
      '/./v1/info',
      '/docs/../v1/info',
      '/v1;x/info',
      '/v1//info',
      'http://localhost/v1/info',
    ];
    const ask = (own: TestService) => async (path: string) => {
      const request = httpRequest({ port: own.port, host: '127.0.0.1', path }).end();
      const [reply] = (await once(request, 'response')) as [IncomingMessage];
      reply.resume();
      return reply.statusCode ?? 0;
    };
    let open: number[] = [];
    await withService({}, async (own) => {
      open = await Promise.all(spellings.map(ask(own)));
    });
    await withService({ apiKeys }, async (own) => {
      const guarded = await Promise.all(spellings.map(ask(own)));
      const found = spellings.filter((_, i) => open[i] !== 404);
      expect(found).toEqual(['/v1/info/', '/v1/info?x', 'http://localhost/v1/info']);
      for (const [i, status] of guarded.entries()) {
        expect(open[i] === 404 ? [401, 404] : [401], spellings[i]).toContain(status);
      }
    });
  });

  test('what runs the service needs no key: probes, metrics, the description and its pages', () =>
    withService({ apiKeys }, async (own) => {
      for (const path of ['/livez', '/readyz', '/metrics', '/openapi.json', '/docs/']) {
        expect((await own.call('get', path)).status, path).toBe(200);
      }
      expect((await own.call('get', '/')).status).not.toBe(401);
    }));
});

describe('requests in a minute', () => {
  afterEach(() => {
    vi.useRealTimers();
  });
  const ask = async (own: TestService, key?: string) =>
    (await infoAs(own, key && `Bearer ${key}`)).status;
  const askOften = async (own: TestService, times: number, key?: string) => {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push(await ask(own, key));
    return statuses;
  };

  test('beyond the limit: 429 that says when to come again; then they count anew', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await withService({ env: { RATE_LIMIT_PER_MINUTE: '3' } }, async (own) => {
      expect(await askOften(own, 3)).toEqual([200, 200, 200]);
      vi.setSystemTime(Date.now() + 20_000);
      const { status, body, headers } = await infoAs(own, undefined);
      expect([status, body.code]).toEqual([429, 'rate_limited']);
      expect(body).toMatchObject({ retry_after_seconds: 40, limits: { rate_limit_per_minute: 3 } });
      expect(headers['retry-after']).toBe('40');
      expect(headers['ratelimit-policy']).toMatch(/; q=3; w=60;/);
      expect(headers.ratelimit).toMatch(/; r=0; t=40$/);
      vi.setSystemTime(Date.now() + 40_000);
      expect(await askOften(own, 4)).toEqual([200, 200, 200, 429]);
    });
  });

  test('off, nothing is counted', () =>
    withService({}, async (own) => {
      expect(new Set(await askOften(own, 30))).toEqual(new Set([200]));
      const { headers } = await infoAs(own, undefined);
      expect(headers).not.toHaveProperty('ratelimit');
    }));

  test('each client has its own, all of its keys together; one greedy key costs no other', async () => {
    const second = makeApiKey({ client: 'phone', rate_limit_per_minute: 5, max_concurrent: 2 });
    const known = ApiKeys.parse([LAB.line, PHONE.line, second.line].join('\n'), 0);
    const options = { apiKeys: { clientOf: (key: string) => known.clientOf(key, 0) } };
    await withService({ ...options, env: { RATE_LIMIT_PER_MINUTE: '20' } }, async (own) => {
      expect(await askOften(own, 4, PHONE.key)).toEqual([200, 200, 200, 200]);
      expect(await askOften(own, 2, second.key)).toEqual([200, 429]);
      const greedy = await askOften(own, 50, PHONE.key);
      expect(new Set(greedy)).toEqual(new Set([429]));
      expect(await askOften(own, 21, LAB.key)).toEqual([...Array(20).fill(200), 429]);
    });
  });

  test('a limit of a client holds where the service has none', () =>
    withService({ apiKeys }, async (own) => {
      expect(await askOften(own, 6, PHONE.key)).toEqual([200, 200, 200, 200, 200, 429]);
      expect(new Set(await askOften(own, 10, LAB.key))).toEqual(new Set([200]));
    }));

  test('who is refused for the key is not counted', () =>
    withService({ apiKeys }, async (own) => {
      await askOften(own, 10, `${PHONE.key}x`);
      expect(await ask(own, PHONE.key)).toBe(200);
    }));

  const askFrom = (own: TestService, address: string) =>
    own.call('get', '/v1/info').set('X-Forwarded-For', address);

  test('an address that a client gives itself is not believed', () =>
    withService({ env: { RATE_LIMIT_PER_MINUTE: '1' } }, async (own) => {
      expect((await askFrom(own, '203.0.113.1')).status).toBe(200);
      expect((await askFrom(own, '203.0.113.2')).status).toBe(429);
    }));

  test.each(['1', 'loopback', '127.0.0.0/8'])(
    'behind the proxy that is trusted (%s) its clients are told apart, not what they add',
    (TRUST_PROXY) =>
      withService({ env: { RATE_LIMIT_PER_MINUTE: '1', TRUST_PROXY } }, async (own) => {
        expect((await askFrom(own, '203.0.113.1')).status).toBe(200);
        expect((await askFrom(own, '203.0.113.2')).status).toBe(200);
        expect((await askFrom(own, '198.51.100.7, 203.0.113.2')).status).toBe(429);
      }),
  );

  test('an IPv6 line is one, whichever of its addresses asks', () =>
    withService({ env: { RATE_LIMIT_PER_MINUTE: '1', TRUST_PROXY: '1' } }, async (own) => {
      expect((await askFrom(own, '2001:db8:1:200::1')).status).toBe(200);
      expect((await askFrom(own, '2001:db8:1:2ff:9::2')).status).toBe(429);
      expect((await askFrom(own, '2001:db8:1:300::1')).status).toBe(200);
    }));
});

describe('requests at once', () => {
  const key = { Authorization: `Bearer ${PHONE.key}` };

  test('beyond the limit: 429, for this client alone, until one is over', () =>
    withService({ apiKeys }, async (own) => {
      const held = [hold(own, key), hold(own, key)];
      await expect.poll(() => own.spooled()).toHaveLength(2);
      const { status, body, headers } = await infoAs(own, key.Authorization);
      expect([status, body.code, headers['retry-after']]).toEqual([429, 'client_concurrency', '1']);
      expect((await infoAs(own, `Bearer ${LAB.key}`)).status).toBe(200);
      held[0]?.letGo();
      expect((await held[0]?.reply)?.status).toBe(415);
      await expect.poll(() => own.logLines.length).toBe(3);
      expect((await infoAs(own, key.Authorization)).status).toBe(200);
      held[1]?.letGo();
      await held[1]?.reply;
    }));

  test('a client that leaves gives its place back', () =>
    withService({ env: { MAX_CONCURRENT_PER_CLIENT: '1' } }, async (own) => {
      const leaving = new AbortController();
      const body = new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(10)) });
      const init = { method: 'POST', body, duplex: 'half', signal: leaving.signal } as RequestInit;
      const sending = fetch(`${own.url}/v1/tags`, init);
      await expect.poll(() => own.spooled()).toHaveLength(1);
      expect((await infoAs(own, undefined)).body.code).toBe('client_concurrency');
      leaving.abort();
      await expect(sending).rejects.toThrow();
      await expect.poll(async () => (await infoAs(own, undefined)).status).toBe(200);
    }));

  test('off, as many as there are upload places', () =>
    withService({}, async (own) => {
      const held = Array.from({ length: 5 }, () => hold(own));
      await expect.poll(() => own.spooled()).toHaveLength(5);
      expect((await infoAs(own, undefined)).status).toBe(200);
      for (const { letGo } of held) letGo();
      await Promise.all(held.map(({ reply }) => reply));
    }));
});
