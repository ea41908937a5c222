import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { continueTrace, toTraceparent } from '../../src/http/trace-context.js';
import { openWorkshop, startService, type TestService, type Workshop } from './test-service.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const VALID = `00-${TRACE}-${PARENT}-01`;

describe('continueTrace', () => {
  test('the trace and its flags stay, the span is our own', () => {
    const trace = continueTrace(VALID);
    expect(trace).toMatchObject({ traceId: TRACE, flags: '01' });
    expect(trace?.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(trace?.spanId).not.toBe(PARENT);
    expect(continueTrace(VALID)?.spanId).not.toBe(trace?.spanId);
    expect(toTraceparent(trace!)).toBe(`00-${TRACE}-${trace?.spanId}-01`);
  });

  test('what is told can be continued in turn', () => {
    expect(continueTrace(toTraceparent(continueTrace(VALID)!))?.traceId).toBe(TRACE);
  });

  test('of a later version what is known is taken', () => {
    expect(continueTrace(`01-${TRACE}-${PARENT}-01-more`)?.traceId).toBe(TRACE);
  });

  test.each([
    undefined,
    '',
    'canary',
    `ff-${TRACE}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-01-more`,
    `00-${TRACE}-${PARENT}-1`,
    `00-${TRACE}-${PARENT}`,
  ])('%s names no trace', (header) => {
    expect(continueTrace(header)).toBeUndefined();
  });
});

describe('a request', () => {
  let workshop: Workshop;
  let service: TestService;
  beforeAll(async () => {
    workshop = await openWorkshop();
    service = await startService(workshop);
  });
  afterAll(async () => {
    await service.close();
    await workshop.close();
  });

  const ask = async (headers: Record<string, string>) => {
    const before = service.logLines.length;
    const reply = await service.call('get', '/v1/models/huge').set(headers);
    await expect.poll(() => service.logLines.length).toBe(before + 1);
    return { headers: reply.headers, body: reply.body, log: service.logLines.at(-1) };
  };

  test('of a trace goes on with it, and its name tells it: in reply, problem and log', async () => {
    const { headers, body, log } = await ask({ traceparent: VALID });
    const [, traceId, spanId, flags] = String(headers.traceparent).split('-');
    expect([traceId, flags]).toEqual([TRACE, '01']);
    const id = `${TRACE}-${spanId}`;
    expect(headers['x-request-id']).toBe(id);
    expect(body.instance).toBe(`urn:request:${id}`);
    expect(log).toMatchObject({ request_id: id, trace_id: TRACE });
  });

  test('with a name of its own keeps that', async () => {
    const { headers, log } = await ask({ traceparent: VALID, 'X-Request-Id': 'mine' });
    expect(headers['x-request-id']).toBe('mine');
    expect(headers.traceparent).toContain(TRACE);
    expect(log).toMatchObject({ request_id: 'mine', trace_id: TRACE });
  });

  test.each([{}, { traceparent: `00-${TRACE}` }])(
    'of no trace is told of none: %o',
    async (sent) => {
      const { headers, log } = await ask(sent as Record<string, string>);
      expect(headers).not.toHaveProperty('traceparent');
      expect(log).not.toHaveProperty('trace_id');
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    },
  );
});
