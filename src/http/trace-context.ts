import { randomBytes } from 'node:crypto';

/** Where a request stands in a trace over several services (https://www.w3.org/TR/trace-context/). */
export interface TraceContext {
  /** 32 hexadecimal digits, the same in all services. */
  readonly traceId: string;
  /** 16 hexadecimal digits, our own. */
  readonly spanId: string;
  /** Two hexadecimal digits, as they came. */
  readonly flags: string;
}

/** Version, trace, parent, flags; versions to come may add to it. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ONLY_ZEROS = /^0+$/;
const SPAN_BYTES = 8;

/** The trace that a `traceparent` names, with a span of our own; undefined where it names none. */
export function continueTrace(traceparent: string | undefined): TraceContext | undefined {
  const [, version, traceId = '', parentId = '', flags = '', more] =
    TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (version === undefined || version === 'ff') return undefined;
  if (version === '00' && more !== undefined) return undefined;
  if (ONLY_ZEROS.test(traceId) || ONLY_ZEROS.test(parentId)) return undefined;
  return { traceId, spanId: randomBytes(SPAN_BYTES).toString('hex'), flags };
}

/** What we tell of it, in the version that we know. */
export function toTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags}`;
}
