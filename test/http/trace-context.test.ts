import { describe, expect, test } from 'vitest';
import { continueTrace, toTraceparent } from '../../src/http/trace-context.js';

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
