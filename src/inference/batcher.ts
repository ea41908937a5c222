import type { Window } from '../audio/window.js';
import { ServiceError } from '../errors.js';
import {
  assertFits,
  type BatchOutput,
  type OutputName,
  toBatch,
  type WindowOutput,
} from './batch.js';
import type { BatchPlan } from './batch-plan.js';
import type { Clock } from './clock.js';
import type { EnginePool } from './engine-pool.js';
import { EngineRunError } from './engine-process.js';
import { PendingRequest, type RequestTimings } from './pending-request.js';
import type { RunEvent, RunMeter } from './run-meter.js';
import { type Entry, WindowQueue } from './window-queue.js';

export interface StreamOptions {
  readonly outputs: readonly OutputName[];
  /** Takes the request's windows out of the queue; one already in an engine is dropped on return. */
  readonly signal?: AbortSignal | undefined;
  /** Whose request it is: requests of one client share its turns. Undefined: it has turns of its own. */
  readonly client?: string | undefined;
}

/** A request whose windows come one after the other. */
export interface WindowStream {
  /**
   * Runs one window; several may be in hand at once. The first is refused where the queue is full; those after it have
   * their place.
   *
   * @throws ServiceError `overloaded`, `engine_unavailable`, `inference_failed` or `draining`
   * @throws the reason of `signal` when that is aborted
   */
  run(window: Window): Promise<WindowOutput>;
  /** Told whether the next window is being made: then the request, once let in, keeps a place. */
  setMaking(isMaking: boolean): void;
  timings(): RequestTimings;
  /** Drops what is still in hand. */
  close(): void;
}

export interface RunOptions extends StreamOptions {
  /** Called once, when the request has succeeded. */
  readonly onTimings?: ((timings: RequestTimings) => void) | undefined;
}

/** What the batcher tells its owner. */
export interface BatcherListener {
  batchDone(event: RunEvent & { readonly engine: number }): void;
  queueChanged(event: { readonly windows: number; readonly audioSeconds: number }): void;
  nonfiniteWindows(windows: number): void;
}

export interface BatcherOptions {
  readonly pool: EnginePool;
  readonly plan: BatchPlan;
  readonly meter: RunMeter;
  readonly minSamples: number;
  /** Most windows that may wait. */
  readonly queueMaxWindows: number;
  /** With so many seconds of sound waiting no further request is let in; undefined: windows alone count. */
  readonly queueMaxAudioSeconds?: number | undefined;
  readonly clock: Clock;
  readonly listener: BatcherListener;
}

/**
 * Brings the windows of many requests to the engines; a batch is of one graph.
 *
 * Never waits for company: an idle engine takes at once what there is. Clients take turns, window by
 * window, and so do the requests of a client: a long clip does not starve the others.
 */
export class Batcher {
  readonly #options: BatcherOptions;
  readonly #queue: WindowQueue;
  #isClosed = false;

  constructor(options: BatcherOptions) {
    const { pool, plan, queueMaxWindows } = options;
    this.#options = options;
    this.#queue = new WindowQueue(Math.min(queueMaxWindows, pool.size * plan.maxWindows));
  }

  /** Windows that wait; more than the limit only where streams that were let in go on, or windows are run again. */
  get queuedWindows(): number {
    return this.#queue.taken;
  }

  /** Those of one client's requests. */
  queuedWindowsOf(client: string): number {
    return this.#queue.takenBy(client);
  }

  /** Whole seconds until what waits is done, at the rate of the last runs; at least 1: a value for `Retry-After`. */
  get retryAfterSeconds(): number {
    const { meter, pool } = this.#options;
    return meter.secondsToDrain(this.#queuedAudioSeconds(), pool.numLive);
  }

  /**
   * Runs all windows of one request; the outputs come in the order of the windows.
   *
   * @throws ServiceError `overloaded`, `engine_unavailable`, `inference_failed` or `draining`
   * @throws the reason of `signal` when that is aborted
   */
  async run(windows: readonly Window[], options: RunOptions): Promise<WindowOutput[]> {
    const { request, close } = this.#begin(options);
    try {
      const results = await Promise.all(this.#enqueue(request, windows));
      options.onTimings?.(request.timings());
      return results;
    } finally {
      close();
    }
  }

  /**
   * Begins a request whose windows are not all there yet; to be closed in every case.
   *
   * @throws the reason of `signal` when that is aborted
   */
  open(options: StreamOptions): WindowStream {
    const { request, close } = this.#begin(options);
    return {
      run: async (window) => {
        const [output] = this.#enqueue(request, [window]);
        return output!;
      },
      setMaking: (isMaking) => {
        const isIn = !request.isNew && request.failure === undefined;
        this.#queue.setMaking(request, isMaking && isIn);
        this.#announceQueue();
      },
      timings: () => request.timings(),
      close,
    };
  }

  /**
   * Says no to a request that could not be taken in now; `run` asks the same.
   *
   * @throws ServiceError `overloaded`, `engine_unavailable` or `draining`
   */
  assertCanAdmit(numWindows = 1): void {
    this.#assertCanRun();
    const { queueMaxWindows, queueMaxAudioSeconds = Infinity } = this.#options;
    const queued = this.queuedWindows;
    const needed = this.#queue.placesFor(numWindows);
    if (queued + needed > queueMaxWindows) {
      const detail = `${queued} of at most ${queueMaxWindows} windows wait, no place for ${needed} more`;
      throw this.#overloaded(detail, { queue_max_windows: queueMaxWindows });
    }
    const seconds = this.#queuedAudioSeconds();
    if (seconds >= queueMaxAudioSeconds) {
      const detail = `${seconds.toFixed(1)} of at most ${queueMaxAudioSeconds} seconds of sound wait`;
      throw this.#overloaded(detail, { queue_max_audio_seconds: queueMaxAudioSeconds });
    }
  }

  /** Hands work to every idle engine; to be called, too, when the pool has a new one. */
  dispatch(): void {
    while (this.#options.pool.hasIdle) {
      const entries = this.#takeBatch();
      if (entries === undefined) break;
      void this.#runEntries(entries);
    }
    this.#announceQueue();
  }

  /** Fails what waits: no engine will take it. */
  failAll(): void {
    for (const request of this.#queue.requests()) {
      this.#fail(request, this.#unavailable('All engines were lost and none could be started'));
    }
  }

  /** Refuses what waits and what may come. */
  close(): void {
    this.#isClosed = true;
    for (const request of this.#queue.requests()) this.#fail(request, closed());
  }

  #assertCanRun(): void {
    if (this.#isClosed) throw closed();
    if (this.#options.pool.isDown) throw this.#unavailable('No engine is running');
  }

  #begin({ outputs, signal, client }: StreamOptions): {
    request: PendingRequest;
    close: () => void;
  } {
    signal?.throwIfAborted();
    const request = new PendingRequest({ outputs, client, clock: this.#options.clock });
    const abort = () => this.#fail(request, signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const close = () => {
      signal?.removeEventListener('abort', abort);
      this.#fail(request, new Error('The request was closed'));
    };
    return { request, close };
  }

  #enqueue(request: PendingRequest, windows: readonly Window[]): Promise<WindowOutput>[] {
    if (request.failure) throw request.failure.reason;
    this.#assertRunnable(windows);
    if (request.isNew) this.assertCanAdmit(windows.length);
    else this.#assertCanRun();
    const entries = windows.map((window) => ({
      request,
      window,
      isRetry: false,
      ...request.expect(),
    }));
    this.#queue.add(request, entries);
    this.dispatch();
    return entries.map(({ done }) => done);
  }

  #assertRunnable(windows: readonly Window[]): void {
    const { plan, minSamples } = this.#options;
    if (windows.length === 0) throw new RangeError('Expected at least one window, got none');
    for (const window of windows) {
      assertFits(window, { minSamples, maxSamples: plan.shapeFor([window]).samples });
    }
  }

  #takeBatch(): readonly [Entry, ...Entry[]] | undefined {
    const first = this.#queue.take();
    if (first === undefined) return undefined;
    const entries: [Entry, ...Entry[]] = [first];
    const { plan } = this.#options;
    const { graph } = first.request;
    const mayJoin = ({ request, window, isRetry }: Entry) =>
      !isRetry && request.graph === graph && plan.accepts(first.window, window);
    while (!first.isRetry && entries.length < plan.maxWindows) {
      const next = this.#queue.take(mayJoin);
      if (next === undefined) break;
      entries.push(next);
    }
    return entries;
  }

  async #runEntries(entries: readonly [Entry, ...Entry[]]): Promise<void> {
    const { pool, plan, meter, listener, minSamples } = this.#options;
    const [first, ...others] = entries.map(({ window }) => window) as [Window, ...Window[]];
    const { graph } = entries[0].request;
    const batch = toBatch([first, ...others], plan.shapeFor([first, ...others]), minSamples);
    const outputs = [...new Set(entries.flatMap(({ request }) => request.outputs))];
    const timeoutMs = meter.timeoutMs(batch);
    for (const { request } of entries) request.windowStarted();
    try {
      const { output, engine } = await pool.run(batch, { outputs, timeoutMs });
      listener.batchDone({ ...meter.record(batch, output.inferenceMs, graph), engine });
      this.#deliver(entries, output);
    } catch (error) {
      this.#recover(entries, error);
    }
    this.dispatch();
  }

  #deliver(entries: readonly Entry[], output: BatchOutput): void {
    entries.forEach(({ request, index }, place) => {
      const result = output.windows[place];
      request.windowStopped();
      if (result?.finite) request.succeed(index, result);
      else this.#fail(request, failure('The model gave numbers that are not finite'));
    });
    const windows = output.windows.filter(({ finite }) => !finite).length;
    if (windows > 0) this.#options.listener.nonfiniteWindows(windows);
  }

  /** Work lost with an engine is done once more, window by window; lost again, it fails. */
  #recover(entries: readonly Entry[], error: unknown): void {
    // From the last to the first, since each is put before all others.
    for (const entry of entries.toReversed()) {
      const { request, isRetry } = entry;
      request.windowStopped();
      if (request.failure) continue;
      if (this.#isClosed) this.#fail(request, closed());
      else if (isRetry) this.#fail(request, this.#lostTwice(error));
      else this.#queue.putBack({ ...entry, isRetry: true });
    }
  }

  #lostTwice(error: unknown): ServiceError {
    if (error instanceof EngineRunError) return failure('The model failed twice on this clip');
    return this.#unavailable('The engine was lost twice on this clip');
  }

  #fail(request: PendingRequest, reason: unknown): void {
    this.#queue.remove(request);
    request.fail(reason);
    this.#announceQueue();
  }

  #overloaded(detail: string, limits: Readonly<Record<string, number>>): ServiceError {
    const { retryAfterSeconds: retry_after_seconds } = this;
    return new ServiceError('overloaded', detail, { retry_after_seconds, limits });
  }

  #unavailable(detail: string): ServiceError {
    return new ServiceError('engine_unavailable', detail, {
      retry_after_seconds: this.retryAfterSeconds,
    });
  }

  #queuedAudioSeconds(): number {
    return this.#options.meter.seconds(this.#queue.samples);
  }

  #announceQueue(): void {
    const audioSeconds = this.#queuedAudioSeconds();
    this.#options.listener.queueChanged({ windows: this.queuedWindows, audioSeconds });
  }
}

function closed(): ServiceError {
  return new ServiceError('draining', 'The model is being closed');
}

function failure(detail: string): ServiceError {
  return new ServiceError('inference_failed', detail);
}
