import type { Registry } from 'prom-client';
import { PROBLEM_CODES, type ProblemCode } from '../errors.js';
import { counter, gauge, histogram } from './families.js';

/** How a request ended: a problem code, or one of two ends without a problem. */
export type Outcome = ProblemCode | 'ok' | 'client_gone';

/** A path as it stands in openapi.yaml, and the status of its usual answer. */
export interface MeasuredRoute {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  /** Whether it answers about audio, with a model. */
  readonly isAudio: boolean;
}

interface FinishedRequest {
  readonly method: string;
  /** A path of openapi.yaml, or `other`. */
  readonly route: string;
  readonly status: number;
  readonly outcome: Outcome;
  /** Empty where no model was chosen. */
  readonly model: string;
  readonly durationMs: number;
  readonly bodyBytes: number;
  readonly audioSeconds: number;
}

export interface RequestMetrics {
  requestStarted(route: string): void;
  requestFinished(request: FinishedRequest): void;
  uploadStarted(route: string): void;
  uploadFinished(route: string): void;
}

const REQUEST_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300,
];
/** 16 KiB to 256 MiB. */
const BODY_BYTES = Array.from({ length: 8 }, (_, i) => 16 * 1024 * 4 ** i);
const OUTCOMES: readonly Outcome[] = ['ok', 'client_gone', ...PROBLEM_CODES];

/** What is counted about requests; `initModel` makes the series of a loaded model exist. */
export function createRequestMetrics(
  registry: Registry,
  routes: readonly MeasuredRoute[],
): RequestMetrics & { initModel(model: string): void } {
  const families = declare(registry);
  const { duration, requests, active, uploads, bodyBytes, audioSeconds } = families;
  const audioRoutes = routes.filter(({ isAudio }) => isAudio).map(({ route }) => route);
  initRoutes(families, { routes, audioRoutes });
  return {
    initModel(model) {
      for (const route of audioRoutes) {
        audioSeconds.inc({ route, model }, 0);
        for (const code of OUTCOMES) requests.inc({ route, model, code }, 0);
      }
    },
    requestStarted: (route) => active.inc({ route }),
    requestFinished(request) {
      const { method, route, model } = request;
      active.dec({ route });
      duration.observe({ method, route, status: request.status }, request.durationMs / 1000);
      requests.inc({ route, model, code: request.outcome });
      if (request.bodyBytes > 0) bodyBytes.observe({ route }, request.bodyBytes);
      if (request.audioSeconds > 0) audioSeconds.inc({ route, model }, request.audioSeconds);
    },
    uploadStarted: (route) => uploads.inc({ route }),
    uploadFinished: (route) => uploads.dec({ route }),
  };
}

function declare(registry: Registry) {
  return {
    duration: histogram(registry, {
      name: 'request_duration_seconds',
      help: 'From the head of the request to the end of the reply',
      buckets: REQUEST_SECONDS,
      labels: ['method', 'route', 'status'],
    }),
    requests: counter(registry, {
      name: 'requests_total',
      help: 'Requests by how they ended: ok, client_gone or the code of the problem',
      labels: ['route', 'model', 'code'],
    }),
    active: gauge(registry, {
      name: 'active_requests',
      help: 'Requests in hand',
      labels: ['route'],
    }),
    uploads: gauge(registry, {
      name: 'active_uploads',
      help: 'Uploads in progress',
      labels: ['route'],
    }),
    bodyBytes: histogram(registry, {
      name: 'request_body_bytes',
      help: 'Bytes received',
      buckets: BODY_BYTES,
      labels: ['route'],
    }),
    audioSeconds: counter(registry, {
      name: 'audio_seconds_total',
      help: 'Seconds of audio answered',
      labels: ['route', 'model'],
    }),
  };
}

function initRoutes(
  { duration, requests, active, uploads, bodyBytes }: ReturnType<typeof declare>,
  { routes, audioRoutes }: { routes: readonly MeasuredRoute[]; audioRoutes: readonly string[] },
): void {
  for (const { method, route, status } of routes) {
    duration.zero({ method, route, status });
    requests.inc({ route, model: '', code: 'ok' }, 0);
    active.set({ route }, 0);
  }
  for (const route of audioRoutes) {
    uploads.set({ route }, 0);
    bodyBytes.zero({ route });
  }
}
