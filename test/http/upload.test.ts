import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  clip,
  openFullDisk,
  openWorkshop,
  startService,
  type TestService,
  type TestServiceOptions,
  toneClip,
  type Workshop,
} from './test-service.js';

const LIMIT_BYTES = 60_000;
const BOUNDARY = 'xxBOUNDARYxx';

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop();
  service = await startService(workshop, {
    env: { MAX_UPLOAD_BYTES: String(LIMIT_BYTES), MAX_FILES: '3' },
  });
});
afterAll(async () => {
  await service.close();
  await workshop.close();
});
// Not after each: when the reply is out, the files must be gone already.
beforeEach(() => expect(service.spooled()).toEqual([]));

const tags = (query = '') => service.call('post', `/v1/tags${query}`);

/** A form written by hand, so that it can be wrong. */
function form(body: string, path = '/v1/tags') {
  return service.callRaw(
    {
      method: 'POST',
      path,
      headers: { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` },
    },
    (request) => request.end(body),
  );
}

const part = (head: string, content: string) =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
const END = `--${BOUNDARY}--\r\n`;

/** Bytes of a WAV file of exactly so many bytes. */
function clipOfBytes(numBytes: number): Buffer {
  const wav = toneClip((numBytes - 44) / 8000);
  expect(wav.length).toBe(numBytes);
  return wav;
}

describe('size', () => {
  test('the limit passes, one byte more does not: raw', async () => {
    const passes = await tags().type('audio/wav').send(clipOfBytes(LIMIT_BYTES));
    expect(passes.status).toBe(200);
    const fails = await tags()
      .type('audio/wav')
      .send(Buffer.alloc(LIMIT_BYTES + 1));
    expect(fails.body).toMatchObject({ status: 413, code: 'file_too_large' });
    expect(service.spooled()).toEqual([]);
  });

  test('the limit holds for all files of a form together', async () => {
    const half = clipOfBytes(LIMIT_BYTES / 2);
    const passes = await tags().attach('file', half, 'a').attach('file', half, 'b');
    expect(passes.body.data.map(({ status }: { status: number }) => status)).toEqual([200, 200]);
    const fails = await tags()
      .attach('file', half, 'a')
      .attach('file', Buffer.concat([half, Buffer.alloc(1)]), 'b');
    expect(fails.body).toMatchObject({ status: 413, code: 'file_too_large' });
    expect(service.spooled()).toEqual([]);
  });

  test('a body of unknown length is cut off while it streams, and answered before its end', async () => {
    const { status, body } = await service.callRaw(
      { method: 'POST', path: '/v1/tags', headers: { 'Transfer-Encoding': 'chunked' } },
      (request) => request.write(Buffer.alloc(LIMIT_BYTES + 1)),
    );
    expect([status, JSON.parse(body).code]).toEqual([413, 'file_too_large']);
  });

  test('a declared length beyond the limit is refused without a byte of the body', async () => {
    const headers = { 'Content-Length': LIMIT_BYTES + 600_000 };
    const { status } = await service.callRaw({ method: 'POST', path: '/v1/tags', headers }, (r) =>
      r.flushHeaders(),
    );
    expect(status).toBe(413);
  });

  test('a client that asks first is told to send, or refused before it has', async () => {
    const ask = (length: number) => {
      let isInvited = false;
      const headers = { Expect: '100-continue', 'Content-Length': length };
      return service
        .callRaw({ method: 'POST', path: '/v1/tags', headers }, (request) => {
          request.once('continue', () => {
            isInvited = true;
            request.end(clipOfBytes(length));
          });
          request.flushHeaders();
        })
        .then(({ status }) => ({ status, isInvited }));
    };
    expect(await ask(10_000)).toEqual({ status: 200, isInvited: true });
    expect(await ask(LIMIT_BYTES + 600_000)).toEqual({ status: 413, isInvited: false });
  });

  test('too many files are refused', async () => {
    const request = tags();
    for (let i = 0; i < 4; i++) request.attach('file', toneClip(0.3), 'x');
    expect((await request).body).toMatchObject({ status: 413, code: 'too_many_files' });
    expect(service.spooled()).toEqual([]);
  });
});

describe('what is no upload', () => {
  test.each([
    ['nothing', {}, ''],
    ['an empty form', { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` }, END],
  ])('%s: missing_file', async (_name, headers, body) => {
    const reply = await service.callRaw({ method: 'POST', path: '/v1/tags', headers }, (request) =>
      request.end(body),
    );
    expect(JSON.parse(reply.body)).toMatchObject({ status: 400, code: 'missing_file' });
  });

  test('a text field named file: missing_file', async () => {
    const { body } = await tags().field('file', 'dog.ogg');
    expect(body).toMatchObject({ status: 400, code: 'missing_file' });
  });

  test('a file in another field: unknown_parameter, at once', async () => {
    const { status, body } = await form(
      part('name="sound"; filename="x"', 'RIFF'.repeat(1000)), // and no end
    );
    expect(status).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ code: 'unknown_parameter' });
    expect(body).toContain('sound');
  });

  test('JSON: unsupported_format', async () => {
    const { body } = await tags().send({ input: 'data:audio/wav;base64,UklGRg==' });
    expect(body).toMatchObject({ status: 415, code: 'unsupported_format' });
  });

  test.each([
    ['no end', part('name="file"; filename="x"', 'abc')],
    ['not a form', 'abc'],
    ['nested names', `${part('name="top_k[a][b]"', '1')}${END}`],
    ['an array with a huge index', `${part('name="top_k[99999999]"', '1')}${END}`],
    ['a long name', `${part(`name="${'n'.repeat(200)}"`, '1')}${END}`],
    ['a long value', `${part('name="model"', 'v'.repeat(20_000))}${END}`],
    ['many fields', part('name="model"', 'x').repeat(30) + END],
    ['no name', `${part('filename="x"', 'abc')}${END}`],
    ['a broken head', `--${BOUNDARY}\r\nContent-Disposition\r\n\r\nabc\r\n${END}`],
  ])('a malformed form is a 400, never a 500: %s', async (_name, body) => {
    const { status } = await form(body);
    expect(status).toBe(400);
    expect(service.spooled()).toEqual([]);
  });

  test('a form without a boundary, and one of another kind: malformed_multipart', async () => {
    for (const type of ['multipart/form-data', 'multipart/mixed; boundary=x']) {
      const { body } = await service.callRaw(
        { method: 'POST', path: '/v1/tags', headers: { 'Content-Type': type } },
        (request) => request.end('--x--'),
      );
      expect(JSON.parse(body)).toMatchObject({ status: 400, code: 'malformed_multipart' });
    }
  });

  test('names that aim at the prototype change nothing', async () => {
    for (const name of ['__proto__', 'constructor', '__proto__[x]']) {
      const { status } = await form(part(`name="${name}"`, '1') + END);
      expect(status).toBe(400);
    }
    expect((await tags('?__proto__=1').send(clip('dog.ogg'))).status).toBe(400);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });
});

test('whatever is sent: a reply that openapi.yaml knows, and never the fault of the service', async () => {
  const types = fc.constantFrom(
    'audio/wav',
    'text/plain',
    'multipart/form-data',
    `multipart/form-data; boundary=${BOUNDARY}`,
    'multipart/',
    'application/json',
    ';',
  );
  const starts = fc.constantFrom('', 'RIFF', 'fLaC', 'OggS', 'ID3', `--${BOUNDARY}\r\n`, END);
  const bodies = fc.tuple(starts, fc.uint8Array({ maxLength: 300 }));
  const queries = fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 });
  await fc.assert(
    fc.asyncProperty(types, bodies, queries, async (type, [start, rest], query) => {
      const path = `/v1/tags?${new URLSearchParams(query)}`;
      const { status } = await service.callRaw(
        { method: 'POST', path, headers: { 'Content-Type': type } },
        (request) => request.end(Buffer.concat([Buffer.from(start), rest])),
      );
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
    }),
    { numRuns: 300 },
  );
  expect(service.spooled()).toEqual([]);
});

describe('nothing is left in the spool', () => {
  const withService = async (
    options: TestServiceOptions,
    work: (own: TestService) => Promise<void>,
  ) => {
    const own = await startService(workshop, options);
    try {
      await work(own);
      expect(own.spooled()).toEqual([]);
    } finally {
      await own.close();
    }
  };

  test.each([
    ['raw', {}, Buffer.alloc(10_000)],
    [
      'in a form',
      { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` },
      part('name="file"; filename="x"', 'a'.repeat(10_000)),
    ],
  ])('when the client leaves in the middle: %s', async (_name, headers, body) => {
    await withService({}, async (own) => {
      await leaveInTheMiddle(own, headers, body);
      expect(own.logLines).toMatchObject([{ status: 499, code: 'client_gone' }]);
    });
  });

  test.each([
    ['raw', {}],
    ['in a form', { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` }],
  ])('when the upload takes too long: %s', async (_name, headers) => {
    await withService({ env: { UPLOAD_TIMEOUT_MS: '50' } }, async (own) => {
      const { body } = await own.callRaw({ method: 'POST', path: '/v1/tags', headers }, (request) =>
        request.write(part('name="file"; filename="x"', 'a')),
      );
      expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'upload_timeout' });
    });
  });

  test('when the disk is full', async () => {
    await withService({ openFile: openFullDisk }, async (own) => {
      const raw = await own.call('post', '/v1/tags').type('audio/wav').send(toneClip(1));
      expect(raw.body).toMatchObject({ status: 507, code: 'storage_full' });
      const inForm = await own.call('post', '/v1/tags').attach('file', toneClip(1), 'x');
      expect(inForm.body).toMatchObject({ status: 507, code: 'storage_full' });
    });
  });

  test('when the client leaves while its clip is decoded: the work is dropped', async () => {
    let signal: AbortSignal | undefined;
    const decoder = {
      // Never done: only its signal ends it.
      decode: (_path: string, _plan: unknown, options: { signal?: AbortSignal | undefined }) =>
        new Promise<never>((_resolve, reject) => {
          signal = options.signal;
          signal?.addEventListener('abort', () => reject(signal?.reason));
        }),
    };
    await withService({ decoder }, async (own) => {
      const isAtWork = () => signal !== undefined;
      await leaveInTheMiddle(own, {}, clip('dog.ogg'), { isWhole: true, isAtWork });
      expect(signal?.aborted).toBe(true);
      expect(own.logLines).toMatchObject([{ status: 499, code: 'client_gone', clips: 1 }]);
    });
  });
});

/** Sends a part of a body, or all of it, waits until the service works on it, and hangs up. */
async function leaveInTheMiddle(
  own: TestService,
  headers: Record<string, string>,
  body: string | Buffer,
  { isWhole = false, isAtWork = () => own.spooled().length === 1 } = {},
): Promise<void> {
  const socket = connect(own.port, '127.0.0.1');
  const length = Buffer.byteLength(body) + (isWhole ? 0 : 1000);
  const head = Object.entries({ Host: 'x', 'Content-Length': length, ...headers });
  socket.write(
    `POST /v1/tags HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n`,
  );
  socket.write(body);
  await expect.poll(isAtWork).toBe(true);
  socket.destroy();
  await expect.poll(() => own.logLines.length).toBe(1);
  await expect.poll(() => own.spooled()).toEqual([]);
}
