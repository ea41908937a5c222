import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceError } from '../../src/errors.js';
import { UploadPace } from '../../src/http/upload-pace.js';
import { ManualClock } from '../inference/manual-clock.js';
import { openWorkshop, startService, type TestService, type Workshop } from './test-service.js';

function createPace(minBytesPerSecond: number) {
  const clock = new ManualClock();
  const errors: ServiceError[] = [];
  const onTooSlow = (error: ServiceError) => errors.push(error);
  const pace = new UploadPace({ minBytesPerSecond, clock, onTooSlow });
  return { clock, errors, pace };
}

describe('UploadPace', () => {
  test('the first three seconds are free, then the mean since the start counts', () => {
    const { clock, errors, pace } = createPace(1000);
    clock.advance(2999);
    expect(errors).toEqual([]);
    pace.received(2999);
    clock.advance(1);
    expect(errors).toMatchObject([{ code: 'upload_timeout', status: 408 }]);
    expect(errors[0]?.message).toBe(
      'Expected at least 1000 bytes of the body per second, got 2999 bytes in 3.0 s',
    );
    clock.advance(60_000);
    expect(errors).toHaveLength(1);
  });

  test('who keeps up is never cut off; who stops is, as soon as the mean has sunk', () => {
    const { clock, errors, pace } = createPace(1000);
    for (let second = 0; second < 60; second++) {
      pace.received(1000);
      clock.advance(1000);
    }
    expect(errors).toEqual([]);
    pace.received(5000);
    clock.advance(1000);
    clock.advance(1000);
    clock.advance(1000);
    clock.advance(1000);
    clock.advance(1000);
    expect(errors).toEqual([]);
    clock.advance(1000);
    expect(errors).toHaveLength(1);
  });

  test('stopped, or with no limit, it watches nothing', () => {
    const stopped = createPace(1000);
    stopped.pace.stop();
    const unlimited = createPace(0);
    for (const { clock, errors } of [stopped, unlimited]) {
      expect(clock.pendingMs).toEqual([]);
      clock.advance(60_000);
      expect(errors).toEqual([]);
    }
  });
});

describe('an upload that drips', () => {
  let workshop: Workshop;
  beforeAll(async () => {
    workshop = await openWorkshop();
  });
  afterAll(() => workshop.close());

  /** A body of 100 bytes of which the first comes, 10 s pass, and the rest would come when asked for. */
  async function drip(env: Record<string, string>, headers: Record<string, string> = {}) {
    const clock = new ManualClock();
    const service = await startService(workshop, { clock, env: { MAX_UPLOADS: '1', ...env } });
    let letGo = () => {};
    const reply = service.callRaw({ method: 'POST', path: '/v1/tags', headers }, (request) => {
      request.write('R');
      letGo = () => request.end('R'.repeat(99));
    });
    await expect.poll(() => service.spooled()).toHaveLength(1);
    clock.advance(10_000);
    return { service, reply, letGo: () => letGo() };
  }

  const askAnother = (service: TestService) =>
    service.call('post', '/v1/tags').type('audio/wav').send('RIFF');

  test('is cut off, and its place is free for another', async () => {
    const { service, reply } = await drip({});
    const { status, body } = await reply;
    expect([status, JSON.parse(body).code]).toEqual([408, 'upload_timeout']);
    expect(JSON.parse(body).limits).toEqual({ upload_min_bytes_per_second: 16_384 });
    expect(service.spooled()).toEqual([]);
    expect((await askAnother(service)).body.code).toBe('unsupported_format');
    await service.close();
  });

  test('is cut off with its connection, which it could hold as well', async () => {
    const clock = new ManualClock();
    const service = await startService(workshop, { clock });
    const socket = connect(service.port, '127.0.0.1');
    const said = text(socket);
    socket.write('POST /v1/tags HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nR');
    await expect.poll(() => service.spooled()).toHaveLength(1);
    clock.advance(10_000);
    expect(await said).toMatch(/^HTTP\/1.1 408 /);
    await service.close();
  });

  test('keeps its place where no minimum is set', async () => {
    const { service, reply, letGo } = await drip({ UPLOAD_MIN_BYTES_PER_SECOND: '0' });
    expect((await askAnother(service)).body.code).toBe('overloaded');
    letGo();
    expect((await reply).status).toBe(415);
    await service.close();
  });
});
