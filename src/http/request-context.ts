import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { AnalysisObserver } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';
import type { Log } from '../log.js';
import { STAGES, type Stage } from '../metrics/clip-metrics.js';
import type { Outcome } from '../metrics/request-metrics.js';
import type { Metrics } from '../metrics.js';
import type { Client } from './api-keys.js';
import { ClientGoneError } from './problem.js';
import { continueTrace, type TraceContext, toTraceparent } from './trace-context.js';

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** One request from its head to the end of its reply: its name, its clock and what it did. */
export class RequestContext implements AnalysisObserver {
  readonly id: string;
  /** Aborted with `ClientGoneError` when the client leaves, with `deadline_exceeded` when time is up. */
  readonly signal: AbortSignal;
  /** Undefined where the request belongs to none. */
  readonly trace: TraceContext | undefined;
  /** Who asks; undefined where no key is wanted. */
  client: Client | undefined;
  outcome: Outcome = 'ok';
  /** Empty until one is chosen. */
  model = '';
  provider = '';
  bodyBytes = 0;
  numClips = 0;
  windows = 0;
  audioSeconds = 0;
  readonly #abort = new AbortController();
  readonly #metrics: Pick<Metrics, 'stageDone' | 'decodeDone' | 'decodeFailed'>;
  readonly #stageMs = new Map<Stage, number>();
  readonly #startMs = performance.now();
  #stage: Stage = 'receive';
  #deadline: NodeJS.Timeout | undefined;

  constructor(
    { id, trace }: Pick<RequestContext, 'id' | 'trace'>,
    metrics: Pick<Metrics, 'stageDone' | 'decodeDone' | 'decodeFailed'>,
  ) {
    this.id = id;
    this.trace = trace;
    this.signal = this.#abort.signal;
    this.#metrics = metrics;
  }

  get durationMs(): number {
    return performance.now() - this.#startMs;
  }

  /** From now on the request has `timeoutMs`. */
  startDeadline(timeoutMs: number): void {
    this.#deadline = setTimeout(() => {
      const detail = `Expected an answer within ${timeoutMs} ms of the upload, got none`;
      this.#abort.abort(new ServiceError('deadline_exceeded', detail, { stage: this.#stage }));
    }, timeoutMs);
  }

  /** Drops the work that is still in hand; the reply is out, or the client has gone. */
  end({ isAnswered }: { isAnswered: boolean }): void {
    clearTimeout(this.#deadline);
    if (isAnswered) return;
    this.outcome = 'client_gone';
    this.#abort.abort(new ClientGoneError());
  }

  enter(stage: Stage): void {
    this.#stage = stage;
  }

  spent(stage: Stage, ms: number): void {
    this.#stageMs.set(stage, (this.#stageMs.get(stage) ?? 0) + ms);
    this.#metrics.stageDone(stage, ms);
  }

  decodeDone(...clip: Parameters<AnalysisObserver['decodeDone']>): void {
    this.#metrics.decodeDone(...clip);
  }

  decodeFailed(error: unknown): void {
    const isOurs = error instanceof ServiceError;
    this.#metrics.decodeFailed(
      isOurs ? error.code : this.signal.aborted ? 'client_gone' : 'internal',
    );
  }

  /** Milliseconds by stage, in the order of the stages. */
  stageMs(): [Stage, number][] {
    return STAGES.flatMap((stage): [Stage, number][] => {
      const ms = this.#stageMs.get(stage);
      return ms === undefined ? [] : [[stage, Number(ms.toFixed(1))]];
    });
  }
}

const contexts = new WeakMap<Request, RequestContext>();

/** @throws Error when the request did not come through `requestContext` */
export function contextOf(request: Request): RequestContext {
  const context = contexts.get(request);
  if (context === undefined) throw new Error('Expected requestContext to be the first middleware');
  return context;
}

/**
 * First middleware: gives the request its context and, when it is over, writes its one log line.
 *
 * It must come first: the `close` of a client that leaves early is heard only by those who listen.
 *
 * @param routeOf the path of openapi.yaml that a URL path belongs to
 */
export function requestContext({
  log,
  metrics,
  routeOf,
}: {
  log: Log;
  metrics: Metrics;
  routeOf: (path: string) => string;
}): RequestHandler {
  return (request, response, next) => {
    const context = new RequestContext(identify(request), metrics);
    const route = routeOf(request.path);
    contexts.set(request, context);
    response.set('X-Request-Id', context.id);
    if (context.trace) response.set('traceparent', toTraceparent(context.trace));
    metrics.requestStarted(route);
    response.once('close', () => {
      context.end({ isAnswered: response.writableFinished });
      finish({ request, response, context, route }, { log, metrics });
    });
    next();
  };
}

/** The name that the client gave, else one that tells its trace, else any. */
function identify(request: Request): Pick<RequestContext, 'id' | 'trace'> {
  const trace = continueTrace(request.get('traceparent'));
  const given = request.get('X-Request-Id') ?? '';
  if (REQUEST_ID.test(given)) return { id: given, trace };
  return { id: trace ? `${trace.traceId}-${trace.spanId}` : randomUUID(), trace };
}

function finish(
  exchange: { request: Request; response: Response; context: RequestContext; route: string },
  { log, metrics }: { log: Log; metrics: Metrics },
): void {
  const { request, response, context, route } = exchange;
  const { durationMs, outcome, model, bodyBytes, audioSeconds } = context;
  // nginx's number for a client that left: there was no reply, so there is no status.
  const status = outcome === 'client_gone' ? 499 : response.statusCode;
  const method = request.method;
  metrics.requestFinished({
    method,
    route,
    status,
    outcome,
    model,
    durationMs,
    bodyBytes,
    audioSeconds,
  });
  log.info(
    {
      request_id: context.id,
      ...(context.trace && { trace_id: context.trace.traceId }),
      ...(context.client && { client: context.client.id }),
      method,
      route,
      status,
      code: outcome,
      duration_ms: Number(durationMs.toFixed(1)),
      ...(bodyBytes > 0 && { body_bytes: bodyBytes }),
      ...(model !== '' && { model, provider: context.provider }),
      ...(context.numClips > 0 && {
        clips: context.numClips,
        windows: context.windows,
        audio_seconds: Number(audioSeconds.toFixed(3)),
        stage_ms: Object.fromEntries(context.stageMs()),
      }),
    },
    'request',
  );
}
